"""What becomes of a PUBLISH: aliases, the full store, and what is kept of a message."""

import gc

from gateway.broker.server import Broker
from gateway.mqtt.session import MqttSession
from tests.fakes import raw_packets as raw
from tests.fakes.mqtt_broker import RawClient, publish, running
from tests.fakes.raw_scene import scene
from tests.fakes.waiting import eventually


def sessions_left(broker: Broker) -> int:
    """Return how many sessions of a broker are still somewhere in memory."""
    gc.collect()
    return sum(
        isinstance(found, MqttSession) and found.host is broker.routing
        for found in gc.get_objects()
    )


async def test_a_topic_too_long_to_be_routed_gets_no_alias() -> None:
    async with scene(version=5) as made:
        client = await made.client(user="writer")
        (connection,) = made.broker.connections
        told = {raw.Prop.ALIAS: 1}
        client.send(raw.publish("home/" + "x" * 1020, b"", version=5, props=told))
        await client.expect_closed(0x90)
        assert not connection.aliases


async def test_the_longest_topic_that_is_routed_may_have_an_alias() -> None:
    async with scene(version=5) as made:
        heard: list[bytes] = []
        made.broker.subscribe("home/#", lambda _, payload, __: heard.append(payload))
        client = await made.client(user="writer")
        told = {raw.Prop.ALIAS: 1}
        client.send(raw.publish("home/" + "x" * 1019, b"named", version=5, props=told))
        client.send(raw.publish("", b"short", version=5, props=told))
        await client.nothing()
        assert heard == [b"named", b"short"]


async def test_a_retained_qos_2_message_that_a_full_store_does_not_keep_is_delivered_once() -> None:
    async with scene(version=5) as made:
        made.broker.routing.retained.max_count = 0
        heard: list[bytes] = []
        made.broker.subscribe("home/#", lambda _, payload, __: heard.append(payload))
        client = await made.client(user="writer")
        for is_again in (False, True):
            client.send(raw.publish("home/a", b"once", 2, 7, version=5, retain=True, dup=is_again))
            await client.expect(raw.PUBREC, number=7, code=0)
        assert heard == [b"once"]


async def test_a_retained_message_does_not_keep_the_session_of_its_publisher() -> None:
    async with scene() as made:
        for version in (4, 5):
            client = await made.client(version=version, user="writer")
            await client.publish(f"home/{version}", b"x", 1, retain=True)
            await client.disconnect()
        await eventually(lambda: not made.broker.connections)
        assert made.broker.routing.retained.get("home/4") is not None
        assert sessions_left(made.broker) == 0


async def test_a_queued_message_does_not_keep_the_session_of_its_publisher() -> None:
    async with running() as (broker, port):
        away = await RawClient.login(port, "reader", clean=False)
        await away.subscribed("home/#", qos=1)
        await away.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        client = await RawClient.login(port, "writer")
        for number in (1, 2):  # the second goes the short way
            client.send(publish("home/a", b"x", 1, number))
            assert (await client.read())[0] == 0x40
        client.send(b"\xe0\0")
        assert await client.is_closed()
        await eventually(lambda: not broker.connections)
        assert broker.stats()["queued"] == 2
        assert sessions_left(broker) == 1
