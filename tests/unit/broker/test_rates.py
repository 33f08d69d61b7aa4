"""Too fast a client rests; nothing of it is lost, and nobody else waits."""

import asyncio
import time

from gateway.broker.limits import Limits
from gateway.broker.rates import BURST_S, Meter
from tests.fakes.mqtt_broker import RawClient, publish, running
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
