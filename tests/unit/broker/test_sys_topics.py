"""`$SYS`: mosquitto's names, values that mean what they say, and nothing at all while nobody looks."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.broker.load import SPANS_MIN, Load
from gateway.broker.server import Broker
from gateway.broker.sys_topics import COUNTED, EVERY_S, LEFT_OUT, LOADS, OTHERS, PREFIX
from gateway.mqtt.journal import NoJournal
from gateway.mqtt.message import Message
from tests.fakes.mqtt_broker import (
    PRINCIPALS,
    RawClient,
    authenticate,
    publish,
    running,
    subscribe,
)
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.nodes import free_port
from tests.fakes.waiting import eventually, soon


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n")
    process = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def tree_of(port: int, last: str) -> set[str]:
    """Return the topics below $SYS/broker that a broker publishes, once `last` is among them."""
    found: set[str] = set()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda c, *_: c.subscribe("$SYS/broker/#")
    client.on_message = lambda _c, _u, message: found.add(message.topic.removeprefix(PREFIX))

    def is_up() -> bool:
        with contextlib.suppress(OSError):
            client.connect("127.0.0.1", port)
            return True
        return False

    soon(is_up, what="the broker listens")
    client.loop_start()
    soon(lambda: last in found, seconds=10, what=last)
    client.disconnect()
    client.loop_stop()
    return found


def values(broker: Broker) -> dict[str, str]:
    broker.before_replay("$SYS/#")
    store = broker.routing.retained
    found = [store.get(topic) for topic in store.topics("$SYS/#")]
    return {m.topic.removeprefix(PREFIX): m.payload.decode() for m in found if m is not None}


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_every_topic_of_mosquitto_2_is_there_or_left_out_with_a_reason(
    tmp_path: Path,
) -> None:
    with mosquitto(tmp_path) as port:
        theirs = await asyncio.to_thread(tree_of, port, "load/sockets/15min")
    assert len(theirs) > 40
    async with running() as (broker, _):
        broker.sweep(broker.now() + 1)
        ours = set(values(broker))
    assert sorted(theirs - ours) == sorted(LEFT_OUT)
    assert all(LEFT_OUT.values())


async def test_every_topic_is_described() -> None:
    async with running() as (broker, _):
        broker.sweep(broker.now() + 1)
        found = set(values(broker))
    loads = {f"{topic}/{span}min" for topic in LOADS for span in SPANS_MIN}
    assert found == {*COUNTED, *OTHERS, *loads}


async def test_values_follow_what_happens() -> None:
    async with running() as (broker, port):
        admin = await RawClient.login(port, "admin", "a")
        gone = await RawClient.login(port, "reader", "kept", clean=False)
        gone.send(subscribe("home/#"))
        await gone.read()
        await gone.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        admin.send(subscribe("x"), publish("x", b"12345"), publish("keep", b"abc", flags=1))
        await admin.read()
        await admin.read()
        found = values(broker)
    expected = {
        "clients/connected": "1",
        "clients/disconnected": "1",
        "clients/total": "2",
        "clients/maximum": "2",
        "clients/expired": "0",
        "subscriptions/count": "2",
        "shared_subscriptions/count": "0",
        "publish/messages/received": "2",
        "publish/messages/sent": "1",
        "messages/received": "6",
        "retained messages/count": "1",
        "store/messages/bytes": "7",
        "version": "gateway test",
    }
    assert {name: found[name] for name in expected} == expected
    assert int(found["bytes/received"]) > 50
    assert int(found["bytes/sent"]) > 10
    assert int(found["heap/current"]) > 1_000_000


async def test_nothing_is_published_while_nobody_subscribed() -> None:
    async with running() as (broker, port):
        broker.sweep(broker.now() + 2 * EVERY_S)
        await RawClient.login(port, "admin")
        assert len(broker.routing.retained) == 0


async def test_a_client_with_the_role_hears_it_at_once_and_every_ten_seconds() -> None:
    async with running() as (broker, port):
        with paho_client("admin") as watcher:
            await watcher.start(port)
            heard: list[tuple[str, bool]] = []
            watcher.client.on_message = lambda _c, _u, m: heard.append((m.topic, m.retain))
            assert await watcher.subscribe("$SYS/broker/clients/#") == 0
            await eventually(lambda: len(heard) == 7)
            assert {is_retained for _, is_retained in heard} == {True}
            broker.sweep(broker.now() + EVERY_S)
            broker.sweep(broker.now() + EVERY_S + 1)
            await eventually(lambda: len(heard) == 14)
            assert heard[7] == ("$SYS/broker/clients/connected", False)


async def test_who_has_no_role_for_it_hears_nothing() -> None:
    assert not any(grant.pattern.startswith("$SYS") for grant in PRINCIPALS["reader"].grants)
    async with running() as (_, port):
        client = await RawClient.login(port, "reader")
        assert await client.subscribed("$SYS/#", "#") == b"\x80\x00"
        client.send(b"\xc0\x00")
        assert (await client.read())[0] == 0xD0


class Noting(NoJournal):
    """A journal that writes down which topics it is to keep."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def retain(self, message: Message, *, is_node: bool = False) -> int:
        self.noted.append(message.topic)
        return super().retain(message, is_node=is_node)


async def test_values_are_not_kept_for_after_a_restart() -> None:
    journal = Noting()
    broker = Broker(authenticate, journal=journal)
    broker.subscribe("$SYS/#", lambda *_: None)
    broker.sweep(broker.now() + EVERY_S)
    assert len(broker.routing.retained) > 40
    broker.publish("a", b"x", retain=True)
    assert journal.noted == ["a"]


def test_averages_come_near_a_steady_rate_and_forget_it_again() -> None:
    load, count = Load(0.0), 0
    for tick in range(1, 400):
        count += 20  # in 10 s
        load.take({"m": count}, tick * 10.0)
    found = dict(load.averages())
    assert found["m/1min"] == "120.00"
    assert 115 < float(found["m/15min"]) < 120
    load.take({"m": count}, 3990.0 + 60)
    assert float(dict(load.averages())["m/1min"]) == pytest.approx(120 / 2.718281828, abs=0.01)
    assert float(dict(load.averages())["m/15min"]) > 100


def test_one_long_step_counts_as_many_short_ones_of_the_same_rate() -> None:
    seldom, often = Load(0.0), Load(0.0)
    for tick in range(1, 31):
        often.take({"m": tick * 5.0}, tick * 10.0)
    seldom.take({"m": 150.0}, 300.0)
    assert seldom.averages() == often.averages()


def test_a_clock_that_stands_still_changes_nothing() -> None:
    load = Load(5.0)
    load.take({"m": 1.0}, 5.0)
    assert load.averages() == []
