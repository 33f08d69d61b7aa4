"""A subscriber that does not read: it costs a bounded amount, delays nobody, and goes on where it can."""

from collections.abc import AsyncIterator

import pytest

from gateway.broker.limits import Limits
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import PUBACK, PUBLISH
from tests.fakes.raw_scene import Scene
from tests.fakes.raw_scene import scene as running_scene

QUEUED = 50
LIMITS = Limits(unsent_bytes=64 << 10, queued=QUEUED, queued_bytes=1 << 20)
BIG = b"x" * 4000


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5.0"])
async def small(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """A broker that keeps little for a slow client."""
    async with running_scene(LIMITS, version=request.param) as made:
        yield made


async def flood(scene: Scene, topic: str, qos: int, count: int) -> None:
    """Publish more than every buffer between the broker and a client holds."""
    writer = await scene.client("flood")
    for begin in range(0, count, 50):
        for index in range(begin, begin + 50):
            payload = b"%06d" % index + BIG
            writer.send(raw.publish(topic, payload, qos, 1 + index % 50, version=scene.version))
        await writer.settled()
        await writer.gathered()


async def test_others_are_not_delayed(small: Scene):
    deaf = await small.client("deaf", slow=True)
    await deaf.subscribe("flood")
    reader, writer = await small.client("reader"), await small.client("writer")
    await reader.subscribe("quiet", qos=1)
    await flood(small, "flood", 0, 3000)
    await writer.publish("quiet", b"x", 1)
    await reader.message(topic="quiet", payload=b"x")


async def test_what_it_gets_of_qos_0_is_in_order_with_gaps(small: Scene):
    slow = await small.client("slow", slow=True)
    await slow.subscribe("flood")
    await flood(small, "flood", 0, 3000)
    slow.send(raw.PING)
    got = []
    while (found := await slow.read()) is not None and found.kind == PUBLISH:
        got.append(int(found.payload[:6]))
    assert got == sorted(got)
    assert 0 < len(got) < 3000


async def test_of_qos_1_the_newest_wait_for_it(small: Scene):
    """At most the bound waits, the oldest are dropped; what was sent before is not forgotten."""
    slow = await small.client("slow", slow=True)
    await slow.subscribe("flood", qos=1)
    await flood(small, "flood", 1, 1000)
    got = []
    while not got or got[-1] != 999:
        found = await slow.expect(PUBLISH, qos=1)
        slow.send(raw.ack(PUBACK, found.number))
        got.append(int(found.payload[:6]))
    assert got == sorted(set(got))
    assert got[-QUEUED:] == list(range(1000 - QUEUED, 1000))
    assert len(got) < 1000
    await slow.nothing()
