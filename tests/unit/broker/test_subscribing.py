"""SUBSCRIBE and UNSUBSCRIBE: retained messages come whole, in portions, and end with their filter."""

import asyncio

import pytest

from gateway.broker.limits import Limits
from gateway.mqtt.outbound import REPLAY_AHEAD, REPLAY_FILTERS, SEND_WINDOW
from gateway.mqtt.retained import RetainedStore
from tests.fakes import raw_packets as raw
from tests.fakes.mqtt_broker import RawClient, running, subscribe
from tests.fakes.raw_scene import scene
from tests.fakes.waiting import eventually


class CountingStore(RetainedStore):
    """Counts how often it had to search."""

    searches = 0

    def topics(self, pattern: str) -> list[str]:
        self.searches += 1
        return super().topics(pattern)


@pytest.mark.parametrize("is_clean", [True, False])
async def test_every_retained_message_reaches_a_client_that_acknowledges(is_clean: bool) -> None:
    few = Limits(queued=REPLAY_AHEAD)
    many = 2 * (SEND_WINDOW + few.queued)
    async with running(few) as (broker, port):
        for number in range(many):
            broker.publish(f"home/{number}", b"x", qos=1, retain=True)
        client = await RawClient.login(port, "reader", clean=is_clean)
        client.send(subscribe("home/#", qos=1))
        assert (await client.read())[0] == 0x90
        topics = {(await client.message())[0] for _ in range(many)}
        assert len(topics) == many
        assert broker.stats()["dropped"] == 0


async def test_a_filter_that_is_subscribed_again_and_again_stands_in_line_once() -> None:
    async with scene(Limits(unsent_bytes=64 << 10)) as made:
        for number in range(2000):
            made.broker.publish(f"home/{number}", b"x" * 4000, retain=True)
        client = await made.client(user="reader", slow=True)
        (connection,) = made.broker.connections
        session = connection.session
        assert session is not None
        for number in range(1, 101):
            client.send(raw.subscribe(number, "home/#", "home/+"))
            await asyncio.sleep(0)
        await eventually(lambda: session.is_behind)
        assert session.replays is not None
        assert len(session.replays) <= 2


@pytest.mark.parametrize("each", [1, 200])
async def test_one_read_of_subscribes_searches_the_retained_topics_a_few_times(each: int) -> None:
    async with scene() as made:
        retained = made.broker.routing.retained = CountingStore()
        made.broker.publish("home/a", b"x", retain=True)
        client = await made.client(user="reader")
        client.send(*(raw.subscribe(n + 1, *["home/#"] * each) for n in range(200 // each)))
        await client.take(raw.PUBLISH)
        await client.gathered()
        assert retained.searches <= 2 * REPLAY_FILTERS  # a turn or two, not each of the 200


async def test_a_replay_goes_on_behind_messages_too_large_for_the_client() -> None:
    async with scene(version=5) as made:
        for number in range(3000):
            made.broker.publish(f"home/a{number:05}", b"x" * 200, retain=True)
        made.broker.publish("home/z", b"small", retain=True)
        client = await made.client(user="reader", props={raw.Prop.MAXIMUM_PACKET: 100})
        await client.subscribe("home/#")
        assert (await client.message()).payload == b"small"


async def test_retained_messages_of_a_filter_that_is_unsubscribed_come_no_more() -> None:
    async with scene() as made:
        for number in range(1000):
            made.broker.publish(f"home/{number}", b"x" * 1000, retain=True)
        client = await made.client(user="reader")
        client.send(raw.subscribe(1, "home/#"), raw.unsubscribe(2, "home/#"))
        await client.settled()  # a turn for what would follow
        kinds = [packet.kind for packet in await client.gathered()]
        assert raw.PUBLISH not in kinds[kinds.index(raw.UNSUBACK) :]


async def test_what_is_unsubscribed_leaves_the_other_filters_in_line() -> None:
    async with running() as (broker, port):
        for number in range(300):
            broker.publish(f"home/{number}", b"x" * 2000, qos=1, retain=True)
        broker.publish("home/z", b"last", qos=1, retain=True)
        client = await RawClient.login(port, "reader")
        client.send(subscribe("home/#", "home/z", qos=1))
        client.send(b"\xa2\x0a\0\2\0\6home/#")
        found = []
        while b"last" not in found:
            first, body = await client.read()
            assert first, f"closed after {len(found)}"
            if first >> 4 == 3:
                cut = 2 + int.from_bytes(body[:2], "big")
                client.send(b"\x40\x02" + body[cut : cut + 2])
                found.append(body[cut + 2 :])
        assert len(found) < 300
