"""Too fast a client rests; nothing of it is lost, and nobody else waits."""

import asyncio
import time

import pytest

from gateway.broker.limits import Limits
from gateway.broker.pausing import Hold
from gateway.broker.rates import BURST_S, Meter
from gateway.mqtt.ports import Wait
from tests.fakes.mqtt_broker import DEVICE, RawClient, connect, publish, running
from tests.fakes.raw_pipe import PipeBroker
from tests.fakes.waiting import eventually


def test_a_burst_is_free_and_then_the_average_counts() -> None:
    meter = Meter(10.0, 0.0, 0.0)
    assert meter.wait_s(int(10 * BURST_S), 10_000, 0.0) <= 0
    assert meter.wait_s(5, 0, 0.0) == 0.5
    assert meter.wait_s(0, 0, 10.0) <= 0


def test_bytes_count_as_packets_do() -> None:
    meter = Meter(0.0, 100.0, 0.0)
    assert meter.wait_s(1000, 250, 0.0) == 0.5


async def test_a_fast_client_is_slowed_and_loses_nothing_while_others_are_served() -> None:
    async with running(Limits(messages_per_s=100.0)) as (broker, port):
        reader = await RawClient.login(port, "reader")
        await reader.subscribed("home/#")
        fast = await RawClient.login(port, "writer", "fast")
        calm = await RawClient.login(port, "writer", "calm")
        began = time.monotonic()
        fast.send(*(publish("home/fast", b"%d" % number) for number in range(230)))
        assert await calm.is_quiet()
        calm.send(publish("home/calm", b"now"))
        assert (await reader.message())[1] == b"now"
        assert [(await reader.message())[1] for _ in range(230)] == [b"%d" % n for n in range(230)]
        assert time.monotonic() - began >= 0.2  # 30 above the burst, at 100 a second
        assert broker.stats()["dropped"] == 0


async def test_a_client_that_rests_is_not_even_answered() -> None:
    async with running(Limits(messages_per_s=10)) as (broker, port):
        client = await RawClient.login(port, "writer")
        client.send(b"\xc0\0" * 5000)
        (connection,) = broker.connections
        await eventually(lambda: connection.holds)
        answered = connection.session.bytes_out
        client.send(b"\xc0\0" * 5000)
        await asyncio.sleep(0.05)
        assert connection.session.bytes_out == answered


def test_packets_are_counted_before_they_are_handled() -> None:
    with PipeBroker(Limits(messages_per_s=10)) as bench:
        pipe = bench.pipe()
        bench.send(pipe, connect("writer"))
        bench.send(pipe, b"".join(publish("home/a", b"x", 1, n) for n in range(1, 81)))
        assert pipe.connection.holds == Hold.RATE
        assert bench.broker.messages_in == 0
        bench.within(lambda: pipe.connection.release(Hold.RATE))
        assert bench.broker.messages_in == 80


@pytest.mark.parametrize("said", [b"\xc0\x00", publish("home/a", b"x", 1, 2)])
def test_packets_that_come_while_a_reader_waits_are_counted_too(said: bytes) -> None:
    with PipeBroker(Limits(messages_per_s=10)) as bench:
        bench.broker.claim("message", lambda *_: Wait("key"))
        pipe = bench.pipe()
        bench.send(pipe, connect(DEVICE), publish("message", b"{}", 1, 1))
        assert pipe.connection.holds == Hold.WAIT
        bench.send(pipe, said * 15)
        assert pipe.connection.holds == Hold.WAIT
        bench.send(pipe, said * 15)
        assert pipe.connection.holds == Hold.WAIT | Hold.RATE
        assert pipe.transport.is_paused


@pytest.mark.parametrize("said", [b"\xc0\x00", publish("home/a", b"", 1, 1)])
def test_a_client_that_does_not_read_its_answers_is_not_read_either(said: bytes) -> None:
    most = 1000
    with PipeBroker(Limits(unsent_bytes=most)) as bench:
        pipe = bench.pipe()
        bench.send(pipe, connect("writer"))
        pipe.raw()
        pieces, each = 100, 100
        for _ in range(pieces):
            bench.send(pipe, said * each)
        assert pipe.connection.holds == Hold.OUTPUT
        assert len(pipe.unread) <= 3 * most + 4 * each
        answered = 0
        while pipe.unread:
            answered += len(pipe.packets())
            bench.within(lambda: None)
        assert answered == pieces * each
        assert not pipe.connection.holds
