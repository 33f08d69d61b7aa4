"""Connections: broken packets end them, pauses keep order, nothing deadlocks."""

import asyncio
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.limits import LOOK_AHEAD_BYTES, Limits
from gateway.broker.server import Broker
from gateway.mqtt.ports import (
    CONSUMED,
    ROUTED,
    Consumed,
    Granted,
    Publish,
    Refused,
    Session,
    Verdict,
    Wait,
)
from tests.fakes.mqtt_broker import (
    CHILD,
    DEVICE,
    RawClient,
    authenticate,
    connect,
    packet,
    publish,
    running,
    subscribe,
    text,
)
from tests.fakes.waiting import eventually

MALFORMED = {
    "rem_len_5_bytes": b"\x30\xff\xff\xff\xff\x01",
    "type0": packet(0x00),
    "type15": packet(0xF0),
    "subscribe_flags_0": packet(0x80, b"\0\1" + text("a") + b"\0"),
    "qos3": packet(0x36, text("a") + b"\0\1x"),
    "empty_topic": publish(""),
    "wildcard_topic": publish("a/#"),
    "bad_utf8": publish(b"\xff\xfe"),
    "nul_topic": publish("a\0b"),
    "topic_len_overrun": packet(0x30, b"\x00\x10ab"),
    "no_topic": packet(0x30),
    "subscribe_no_filter": packet(0x82, b"\0\1"),
    "second_connect": connect("admin"),
    "pid0_publish": publish("a", b"x", 1, 0),
    "publish_without_id": packet(0x32, text("a")),
    "sub_qos3": subscribe("a", qos=3),
    "duplicate_of_qos_0": publish("a", flags=8),
    "puback_too_long": packet(0x40, b"\0\1\0"),
    "pubrel_flags_0": packet(0x60, b"\0\1"),
    "ping_with_body": packet(0xC0, b"x"),
    "disconnect_flags": packet(0xE1),
    "server_packet": packet(0x20, b"\0\0"),
    "too_large": b"\x30" + b"\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_packet_closes_its_connection_and_no_other(raw: bytes) -> None:
    async with running() as (broker, port):
        bystander = await RawClient.login(port, "admin", "bystander")
        client = await RawClient.login(port, "admin", "broken")
        client.send(raw)
        assert await client.is_closed()
        assert await bystander.is_quiet()
        assert broker.stats()["malformed"] == 1


@pytest.mark.parametrize("raw", [publish("a"), b"\xc0\x00", b"GET / HTTP/1.1\r\n\r\n"])
async def test_anything_before_connect_closes(raw: bytes) -> None:
    async with running() as (_, port):
        client = await RawClient.open(port)
        client.send(raw)
        assert (await client.read())[0] == 0


async def test_a_publish_to_a_dollar_topic_is_refused_and_keeps_the_connection() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        client.send(publish("$SYS/x"), publish("$other", b"x", 1, 5))
        assert await client.read() == (0x40, b"\0\5")
        assert await client.is_quiet()
        assert broker.stats()["refused"] == 2


async def test_packets_cut_into_single_bytes_are_the_same_packets() -> None:
    async with running() as (_, port):
        client = await RawClient.login(port, "admin")
        await client.subscribed("a/#")
        for byte in publish("a/b", b"x" * 200) + publish("a/c", b"y", 1, 3):
            client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert (await client.message())[:2] == ("a/b", b"x" * 200)
        answers = {(await client.read())[0], (await client.read())[0]}
        assert answers == {0x40, 0x30}


class Gate:
    """A claim that waits until its answer is known."""

    def __init__(self) -> None:
        self.answer: Verdict | None = None
        self.seen: list[bytes] = []

    def __call__(self, session: Session, publish: Publish) -> Verdict:
        if self.answer is None:
            return Wait("key")
        self.seen.append(publish.payload)
        return self.answer


async def test_a_waiting_packet_keeps_what_follows_in_order() -> None:
    async with running() as (broker, port):
        gate = Gate()
        broker.claim("message", gate)
        client = await RawClient.login(port, DEVICE)
        client.send(
            publish("message", b"1"), publish("message", b"2", 1, 2), publish("message", b"3")
        )
        await eventually(lambda: len(broker.waiting) == 1)
        assert await client.is_quiet()
        gate.answer = CONSUMED
        broker.resume(["key"])
        assert await client.read() == (0x40, b"\0\2")
        await eventually(lambda: gate.seen == [b"1", b"2", b"3"])
        assert len(broker.waiting) == 0


async def test_a_client_that_publishes_and_goes_is_still_heard() -> None:
    async with running() as (broker, port):
        gate = Gate()
        broker.claim("message", gate)
        client = await RawClient.login(port, DEVICE)
        client.send(publish("message", b"last words"), b"\xe0\x00")
        await eventually(lambda: len(broker.waiting) == 1)
        client.close()
        await asyncio.sleep(0.02)
        gate.answer = CONSUMED
        broker.resume(["key"])
        await eventually(lambda: gate.seen == [b"last words"])
        await eventually(lambda: broker.stats()["connections"] == 0)


async def test_a_packet_that_waits_too_long_is_refused_and_the_next_is_handled() -> None:
    told: list[str] = []
    async with running(on_refused=lambda s, p, reason: told.append(reason)) as (broker, port):
        gate = Gate()
        broker.claim("message", gate)
        client = await RawClient.login(port, DEVICE)
        client.send(publish("message", b"1", 1, 1), publish("update", b"2", 1, 2))
        await eventually(lambda: len(broker.waiting) == 1)
        broker.sweep(broker.now() + 6)
        assert await client.read() == (0x40, b"\0\1")
        assert await client.read() == (0x40, b"\0\2")
        assert told == ["the mesh did not answer in time", "nobody takes it"]


async def test_input_behind_a_waiting_packet_is_bounded() -> None:
    async with running() as (broker, port):
        gate = Gate()
        broker.claim("message", gate)
        client = await RawClient.login(port, DEVICE)
        client.send(publish("message", b"1"))
        for _ in range(400):
            client.send(publish("message", b"x" * 10_000))
        await eventually(lambda: broker.stats()["bytes_in"] > LOOK_AHEAD_BYTES)
        await asyncio.sleep(0.05)
        held = broker.stats()["bytes_in"]
        assert held < 1 << 20
        gate.answer = CONSUMED
        broker.resume(["key"])
        await eventually(lambda: len(gate.seen) == 401)


async def test_a_subscription_may_wait_and_is_answered_once() -> None:
    answers: list[Granted | Wait] = [Wait("who"), Granted(1)]
    async with running() as (broker, port):
        broker.claim_uuids(lambda *_: Refused("no"), lambda *_: answers.pop(0), lambda *_: None)
        client = await RawClient.login(port, DEVICE)
        client.send(subscribe(DEVICE.upper(), qos=1))
        await eventually(lambda: len(broker.waiting) == 1)
        broker.resume(["who"])
        assert await client.read() == (0x90, b"\0\1\1")


async def test_a_subscription_nobody_answers_is_refused_after_five_seconds() -> None:
    async with running() as (broker, port):
        broker.claim_uuids(lambda *_: Refused("no"), lambda *_: Wait("who"), lambda *_: None)
        client = await RawClient.login(port, DEVICE)
        client.send(subscribe(DEVICE))
        await eventually(lambda: len(broker.waiting) == 1)
        broker.sweep(broker.now() + 6)
        assert await client.read() == (0x90, b"\0\1\x80")


async def test_acknowledgements_wait_for_their_settlement() -> None:
    async with running() as (broker, port):
        numbers = iter((2, 1, 0))
        broker.claim("message", lambda *_: Consumed(next(numbers)))
        client = await RawClient.login(port, DEVICE)
        client.send(*(publish("message", b"x", 1, number) for number in (1, 2, 3)))
        assert await client.is_quiet()
        broker.settled(1)
        assert await client.is_quiet()
        broker.settled(2)
        assert [await client.read() for _ in range(3)] == [(0x40, bytes((0, n))) for n in (1, 2, 3)]


async def test_qos_2_is_received_once_and_confirmed_when_settled() -> None:
    async with running() as (broker, port):
        seen: list[bytes] = []

        def take(session: Session, publish: Publish) -> Verdict:
            seen.append(publish.payload)
            return Consumed(1)

        broker.claim("message", take)
        client = await RawClient.login(port, DEVICE)
        client.send(publish("message", b"once", 2, 9), publish("message", b"once", 2, 9, flags=8))
        assert await client.is_quiet()
        broker.settled(1)
        assert [await client.read(), await client.read()] == [(0x50, b"\0\t")] * 2
        client.send(packet(0x62, b"\0\t"))
        assert await client.read() == (0x70, b"\0\t")
        assert seen == [b"once"]


async def test_fifty_clients_that_publish_to_themselves_through_a_stalled_disk_recover() -> None:
    async with running() as (broker, port):
        stalled = iter(range(1, 1_000_000))
        broker.claim("message", lambda *_: Consumed(next(stalled)))

        def echo(session: Session, one: Publish) -> Verdict:
            broker.deliver(session, DEVICE, one.payload, 1)
            return Consumed(next(stalled))

        broker.claim("update", echo)
        clients = [
            await RawClient.login(port, DEVICE if n < 16 else CHILD, f"c{n}") for n in range(32)
        ]
        for client in clients:
            client.send(*(publish("update", b"x", 1, number) for number in range(1, 151)))
        await eventually(lambda: sum(len(c.session.acks) for c in broker.unsettled) >= 32 * 76)
        assert all(len(c.session.acks) <= 100 for c in broker.unsettled)
        got = [asyncio.ensure_future(_all_of(client, 150)) for client in clients]  # noqa: TID251
        while not all(task.done() for task in got):
            broker.settled(10_000_000)
            await asyncio.sleep(0.005)
        assert [task.result() for task in got] == [(150, 150)] * 32


async def _all_of(client: RawClient, count: int) -> tuple[int, int]:
    acks = messages = 0
    while acks < count or messages < count:
        first, body = await client.read()
        assert first, "closed"
        if first == 0x40:
            acks += 1
        else:
            messages += 1
            cut = 2 + int.from_bytes(body[:2], "big")
            client.send(packet(0x40, body[cut : cut + 2]))
    return acks, messages


async def test_while_a_shared_resource_is_full_readers_pause_and_pings_are_answered() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        broker.throttle("spool", is_full=True)
        client.send(publish("a", b"x", 1, 1))
        assert await client.is_quiet()
        broker.throttle("spool", is_full=False)
        assert await client.read() == (0x40, b"\0\1")


async def test_while_a_shared_resource_is_full_clients_still_log_in() -> None:
    async with running() as (broker, port):
        broker.throttle("spool", is_full=True)
        client = await RawClient.login(port, "admin")
        client.send(publish("a", b"x", 1, 1))
        assert await client.is_quiet()
        broker.throttle("spool", is_full=False)
        assert await client.read() == (0x40, b"\0\1")


PACKETS = st.builds(packet, st.integers(0, 255), st.binary(max_size=30))


@given(st.lists(PACKETS | st.binary(max_size=40), max_size=5), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_garbage_raises_or_outlives_its_connection(chunks: list[bytes], logged_in: bool) -> None:
    asyncio.run(_garbage(chunks, logged_in))


async def _garbage(chunks: list[bytes], logged_in: bool) -> None:
    broker = Broker(authenticate)
    connection = broker.accept("test")
    reader, writer = socket.socketpair()
    loop = asyncio.get_running_loop()
    errors: list[object] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    with reader, writer:
        transport, _ = await loop.create_connection(lambda: connection, sock=reader)
        if logged_in:
            connection.data_received(connect("admin"))
        for chunk in chunks:
            connection.data_received(chunk)
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not broker.connections
        assert errors == []


async def test_a_slow_subscriber_costs_bounded_memory_and_delays_nobody() -> None:
    async with running(Limits(unsent_bytes=64 << 10)) as (broker, port):
        slow = await RawClient.login(port, "admin", "slow")
        await slow.subscribed("flood/#")
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        other = await RawClient.login(port, "admin", "other")
        await other.subscribed("calm")
        for number in range(300):
            other.send(publish("flood/x", b"x" * 50_000))
            if number % 20 == 0:
                await other.writer.drain()
        other.send(publish("calm", b"still here"))
        assert (await other.message())[1] == b"still here"
        assert broker.stats()["dropped"] > 100


async def test_a_routed_claim_goes_on_to_subscribers() -> None:
    async with running() as (broker, port):
        broker.claim("devices/#", lambda *_: ROUTED)
        client = await RawClient.login(port, "admin")
        await client.subscribed("devices/#")
        client.send(publish("devices/pump/set", b"on"))
        assert (await client.message())[:2] == ("devices/pump/set", b"on")
