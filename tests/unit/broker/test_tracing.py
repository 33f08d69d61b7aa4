"""A trace shows what clients and broker say to each other, except what nobody may see, and costs no one anything."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.broker.server import HANDLERS, Broker
from gateway.broker.tracing import Traced, Wanted
from gateway.mqtt.ports import CONSUMED, Granted, Routed
from tests.fakes.mqtt_broker import (
    CHILD,
    DEVICE,
    OTHER,
    RawClient,
    connect,
    packet,
    publish,
    running,
    subscribe,
    text,
)
from tests.fakes.raw_mqtt import RawMqtt
from tests.fakes.waiting import eventually

CONNECT = (
    "received CONNECT MQTT 3.1.1, client id 'laptop', user 'admin', with a password, "
    "keep-alive 60 s, clean start"
)


class Seen:
    """A watcher with room for so many lines."""

    def __init__(self, wanted: Wanted, most: int = 10_000) -> None:
        self.wanted = wanted
        self.lines: list[Traced] = []
        self.most = most
        self.lost = 0

    def has_room(self) -> bool:
        if len(self.lines) < self.most:
            return True
        self.lost += 1
        return False

    def tell(self, line: Traced) -> None:
        self.lines.append(line)

    @property
    def texts(self) -> list[str]:
        return [f"{line.direction} {line.text}" for line in self.lines]


@contextmanager
def watching(broker: Broker, **wanted: object) -> Iterator[Seen]:
    most = wanted.pop("most", 10_000)
    seen = Seen(Wanted(**wanted), most)  # type: ignore[arg-type]
    broker.tracing.start(seen, broker.connections)
    try:
        yield seen
    finally:
        broker.tracing.stop(seen)


async def test_a_whole_conversation_is_shown_in_order() -> None:
    async with running() as (broker, port):
        with watching(broker) as seen:
            client = await RawClient.login(port, "admin", "laptop")
            client.send(subscribe("home/#", qos=1), publish("home/light", b"on", 1, 7))
            for _ in range(3):  # SUBACK, PUBACK, the message itself
                await client.read()
            client.send(b"\x40\x02\x00\x01", b"\xc0\x00", b"\xe0\x00")
            await eventually(lambda: "event closed: left" in seen.texts)
        assert seen.texts == [
            CONNECT,
            "event logged in by listener test",
            "sent CONNACK, new session",
            "received SUBSCRIBE (m1) 'home/#' q1",
            "received PUBLISH (d0, q1, r0, m7, 'home/light', 2 bytes)",
            "sent SUBACK (m1) 1",
            "sent PUBLISH (d0, q1, r0, m1, 'home/light', 2 bytes)",
            "sent PUBACK (m7)",
            "received PUBACK (m1)",
            "received PINGREQ",
            "received DISCONNECT",
            "sent PINGRESP",
            "event closed: left",
        ]
        assert {line.identity for line in seen.lines} == {"admin"}
        assert {line.client_id for line in seen.lines} == {"laptop"}


@pytest.mark.parametrize(
    "wanted", [{"client_id": "laptop"}, {"identity": "writer"}, {"pattern": "home/+"}]
)
async def test_only_what_is_wanted_is_shown(wanted: dict[str, str]) -> None:
    async with running() as (broker, port):
        before = await RawClient.login(port, "reader", "phone")
        with watching(broker, **wanted) as seen:
            client = await RawClient.login(port, "writer", "laptop")
            before.send(subscribe("home/kitchen/+"))
            await before.read()
            client.send(publish("home/light", b"on"), publish("home/a/b"), b"\xc0\x00")
            while (await client.read())[0] != 0xD0:
                pass
        assert any("'home/light'" in text for text in seen.texts)
        assert not any("home/kitchen" in text for text in seen.texts)
        if "pattern" in wanted:
            assert all("PUBLISH" in text for text in seen.texts)
            assert not any("'home/a/b'" in text for text in seen.texts)
        else:
            assert any("PINGREQ" in text for text in seen.texts)
            assert {line.client_id for line in seen.lines} == {"laptop"}


async def test_a_client_that_is_there_already_is_watched_and_left_alone_afterwards() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "laptop")
        client.send(subscribe("a"), publish("a", b"warm up"))
        await client.read()
        await client.read()
        [connection] = broker.connections
        write = connection.session.write  # type: ignore[union-attr]
        with watching(broker, identity="admin") as seen:
            assert connection.is_traced
            client.send(publish("a", b"x"))
            await client.read()
        assert seen.texts == [
            "received PUBLISH (d0, q0, r0, m0, 'a', 1 bytes)",
            "sent PUBLISH (d0, q0, r0, m0, 'a', 1 bytes)",
        ]
        assert not connection.is_traced
        assert connection.handlers is HANDLERS
        assert connection.session.write == write  # type: ignore[union-attr]


async def test_nobody_is_touched_while_nobody_watches() -> None:
    async with running() as (broker, port):
        await RawClient.login(port, "admin")
        [connection] = broker.connections
        assert (connection.is_traced, connection.handlers is HANDLERS) == (False, True)
        with watching(broker, identity="reader"):
            assert (connection.is_traced, connection.handlers is HANDLERS) == (False, True)
            await RawClient.login(port, "writer")
            await eventually(lambda: len(broker.registry.live) == 2)
            assert not any(each.is_traced for each in broker.connections)


async def test_nothing_of_the_mesh_and_no_password_is_ever_shown() -> None:
    async with running() as (broker, port):
        for topic in ("message", "whoami", "meshblu/request", "$gateway/1/#"):
            broker.claim(topic, lambda *_: CONSUMED)
        broker.claim_uuids(lambda *_: Routed(), lambda *_: Granted(1), lambda *_: None)
        with watching(broker, with_payload=True) as seen:
            device = await RawClient.login(port, DEVICE, "dev", will=("message", b"SECRET", 0))
            child = await RawClient.login(port, CHILD, "kid")
            device.send(
                subscribe(DEVICE, DEVICE.upper()),
                *(publish(t, b"SECRET") for t in ("message", "whoami", "meshblu/request", DEVICE)),
            )
            child.send(publish(f"$gateway/1/{CHILD}/hello", b"SECRET"))
            await device.read()
            for connection in broker.connections:
                name = connection.principal.name
                topic = f"$gateway/1/{name}/x" if name == CHILD else name.upper()
                assert broker.deliver(connection, topic, b"SECRET", 1)
            assert b"SECRET" in (await device.read())[1]
            assert b"SECRET" in (await child.read())[1]
            await device.gone()
            await eventually(lambda: any("closed" in text for text in seen.texts))
        said = "\n".join(seen.texts)
        assert "SECRET" not in said
        assert "secret" not in said
        for hidden in ("'message'", "whoami", "meshblu/", "$gateway", f"'{DEVICE}' q"):
            assert hidden not in said
        assert not any("PUBLISH" in text or "received SUBSCRIBE" in text for text in seen.texts)


async def test_a_users_ordinary_topic_of_the_same_name_is_shown() -> None:
    async with running() as (broker, port):
        with watching(broker) as seen:
            client = await RawClient.login(port, "admin")
            client.send(publish("message", b"hello"), b"\xc0\x00")
            await client.read()
        assert "received PUBLISH (d0, q0, r0, m0, 'message', 5 bytes)" in seen.texts


async def test_payloads_come_when_asked_for_and_cut() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        with watching(broker) as plain, watching(broker, with_payload=True) as full:
            client.send(publish("a", b"x\n\xff" + b"y" * 5000), b"\xc0\x00")
            await client.read()
        assert plain.texts[0].endswith("5003 bytes)")
        shown = full.texts[0].partition("bytes): ")[2]
        assert shown.startswith("x\\u000a\\xffyyy")
        assert shown.endswith("y…")
        assert len(shown) < 300


async def test_a_watcher_without_room_loses_lines_and_nothing_else() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        client.send(subscribe("a"))
        await client.read()
        with watching(broker, most=5) as seen:
            client.send(*(publish("a", b"%d" % n) for n in range(100)))
            for n in range(100):
                assert (await client.read())[1].endswith(b"%d" % n)
        assert len(seen.lines) == 5
        assert seen.lost == 195


async def test_a_refused_client_is_shown_with_the_reason() -> None:
    async with running() as (broker, port):
        with watching(broker, client_id="burglar") as seen:
            client = await RawClient.open(port)
            client.send(connect("admin", "burglar", password="guess"))
            await client.read()
            await eventually(lambda: len(seen.lines) == 2)
        assert seen.texts[1] == "event closed: bad user name or password"
        assert "guess" not in seen.texts[0]


async def test_a_packet_that_breaks_the_protocol_is_shown_and_the_broker_goes_on() -> None:
    async with running() as (broker, port):
        with watching(broker) as seen:
            client = await RawClient.login(port, "admin")
            client.send(b"\x82\x03\x00\x00\x00")
            assert (await client.read())[0] == 0
            other = await RawClient.login(port, "reader")
            other.send(b"\xc0\x00")
            assert (await other.read())[0] == 0xD0
        assert "received SUBSCRIBE that breaks the protocol" in seen.texts
        assert any("event closed: " in text for text in seen.texts)


async def test_a_packet_that_waits_for_the_mesh_is_shown_once() -> None:
    from gateway.mqtt.ports import Wait

    async with running() as (broker, port):
        answers = [Wait("k"), Wait("k"), CONSUMED]
        broker.claim("devices/#", lambda *_: answers.pop(0))
        with watching(broker) as seen:
            client = await RawClient.login(port, "admin")
            client.send(publish("devices/x/set", b"{}", 1))
            await eventually(lambda: len(answers) == 2)
            broker.resume(["k"])
            await asyncio.sleep(0)
            broker.resume(["k"])
            assert (await client.read())[0] == 0x40
        assert sum("received PUBLISH" in text for text in seen.texts) == 1


async def test_an_alias_stands_for_its_topic_and_for_none_that_was_not_read() -> None:
    async with running() as (broker, port):
        broker.claim("message", lambda *_: CONSUMED)
        with watching(broker, with_payload=True, most=4) as seen:
            client = await RawMqtt.open(port, 5)
            await client.connect("dev", user=OTHER)
            seen.lines.clear()
            client.send(v5_publish("lab/x", 1, b"shown"), v5_publish("", 1, b"shown"))
            await eventually(lambda: len(seen.lines) == 2)
            seen.most = 2  # the reader stalls: what 1 stands for is not seen to change
            client.send(v5_publish("message", 1, b"SECRET"))
            await eventually(lambda: seen.lost == 1)
            seen.most = 9
            client.send(v5_publish("", 1, b"SECRET"), b"\xc0\x00")
            await eventually(lambda: "sent PINGRESP" in seen.texts)
            await client.gone()
        assert [text for text in seen.texts if "PUBLISH" in text] == [
            "received PUBLISH (d0, q0, r0, m0, 'lab/x', 5 bytes): shown"
        ] * 2


def v5_publish(topic: str, alias: int, payload: bytes) -> bytes:
    said = b"\x03\x23" + alias.to_bytes(2, "big")
    return packet(0x30, text(topic), said, payload)


async def test_sockets_that_never_came_about_are_not_held_by_a_trace() -> None:
    async with running() as (broker, _):
        with watching(broker):
            gone = weakref.ref(
                broker.accept("tls")
            )  # its handshake fails: nobody hears of it again
            gc.collect()
            assert gone() is None
