"""What MQTT promises of sessions, over the end of the broker's process: stopped, and killed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import raw_packets as raw
from tests.fakes.raw_mqtt import RawMqtt
from tests.fakes.raw_packets import (
    AS_PUBLISHED,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    Prop,
    RawWill,
)
from tests.fakes.raw_scene import DurableScene, durable_scene

KEPT = {4: {}, 5: {"props": {Prop.SESSION_EXPIRY: 3600}}}


@pytest.fixture(params=[4, 5], ids=["3.1.1", "5.0"])
async def durable(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DurableScene]:
    """A broker on a database."""
    async with durable_scene(tmp_path, version=request.param) as scene:
        yield scene


@pytest.fixture(params=[False, True], ids=["stopped", "killed"])
def is_crash(request: pytest.FixtureRequest) -> bool:
    """Which end the process meets."""
    return bool(request.param)


async def kept(scene: DurableScene, client_id: str = "kept", *, is_there: bool = False) -> RawMqtt:
    """Connect a client whose session is kept."""
    client = await scene.client(client_id, clean=False, **KEPT[scene.version])
    assert client.connack is not None
    assert client.connack.is_present is is_there
    return client


async def test_a_kept_session_and_its_subscriptions_are_there(
    durable: DurableScene, is_crash: bool
):
    reader = await kept(durable)
    await reader.subscribe(("a/+", 1), ("b", 2), ("c", 0))
    await reader.unsubscribe("b")
    await durable.restart(is_crash=is_crash)
    reader = await kept(durable, is_there=True)
    writer = await durable.client("writer")
    for topic in ("b", "a/1", "c"):
        await writer.publish(topic, topic.encode(), 1)
    assert await reader.messages(2) == [b"a/1", b"c"]
    await reader.nothing()


async def test_a_clean_session_is_not(durable: DurableScene, is_crash: bool):
    first = await kept(durable)
    await first.subscribe("a", qos=1)
    await first.disconnect()
    clean = await durable.client("kept", clean=True)
    await clean.publish("z", b"x", 1, retain=True)  # on disk, and with it that the session is over
    await durable.restart(is_crash=is_crash)
    again = await kept(durable)
    await (await durable.client("writer")).publish("a", b"x", 1)
    await again.nothing()


async def test_what_was_acknowledged_to_its_publisher_is_delivered_in_order(
    durable: DurableScene, is_crash: bool
):
    reader = await kept(durable)
    await reader.subscribe("a", qos=2)
    await reader.disconnect()
    writer = await durable.client("writer")
    for index in range(20):
        await writer.publish("a", b"%d" % index, 1 + index % 2)
    await durable.restart(is_crash=is_crash)
    reader = await kept(durable, is_there=True)
    assert await reader.messages(20) == [b"%d" % index for index in range(20)]
    await reader.nothing()


async def test_what_was_in_flight_comes_again_under_its_packet_id(
    durable: DurableScene, is_crash: bool
):
    reader = await kept(durable)
    await reader.subscribe("a", qos=2)
    writer = await durable.client("writer")
    await writer.publish("a", b"one", 1)
    await writer.publish("a", b"two", 2)
    first = [await reader.expect(PUBLISH) for _ in range(2)]
    await durable.restart(is_crash=is_crash)
    reader = await kept(durable, is_there=True)
    for packet in first:
        await reader.message(payload=packet.payload, number=packet.number, dup=True)
    await reader.nothing()


async def test_what_the_client_acknowledged_does_not_come_again(durable: DurableScene):
    reader = await kept(durable)
    await reader.subscribe("a", qos=2)
    writer = await durable.client("writer")
    for qos in (1, 2):
        await writer.publish("a", b"done", qos)
        await reader.message()
    await writer.publish("a", b"open", 1)
    await reader.expect(PUBLISH)
    await durable.restart(is_crash=False)
    reader = await kept(durable, is_there=True)
    await reader.message(payload=b"open")
    await reader.nothing()


async def test_a_released_message_comes_as_pubrel_and_never_as_publish(
    durable: DurableScene, is_crash: bool
):
    reader = await kept(durable)
    await reader.subscribe("a", qos=2)
    await (await durable.client("writer")).publish("a", b"x", 2)
    found = await reader.expect(PUBLISH)
    reader.send(raw.ack(PUBREC, found.number))
    await reader.expect(PUBREL, number=found.number)
    await durable.restart(is_crash=is_crash)
    reader = await kept(durable, is_there=True)
    await reader.expect(PUBREL, number=found.number)
    reader.send(raw.ack(PUBCOMP, found.number))
    await reader.nothing()


async def test_qos_2_is_not_delivered_twice_when_its_publisher_sends_it_again(
    durable: DurableScene, is_crash: bool
):
    reader = await kept(durable, "reader")
    await reader.subscribe("a", qos=2)
    writer = await kept(durable, "writer")
    writer.send(raw.publish("a", b"once", 2, 7, version=durable.version))
    await writer.expect(PUBREC, number=7)
    await reader.message(payload=b"once")
    await durable.restart(is_crash=is_crash)
    reader = await kept(durable, "reader", is_there=True)
    writer = await kept(durable, "writer", is_there=True)
    writer.send(raw.publish("a", b"once", 2, 7, version=durable.version, dup=True))
    await writer.expect(PUBREC, number=7)
    writer.send(raw.ack(PUBREL, 7))
    await writer.expect(PUBCOMP, number=7)
    assert [packet.kind for packet in await reader.gathered() if packet.kind == PUBLISH] == []


async def test_a_packet_id_is_free_after_pubcomp(durable: DurableScene, is_crash: bool):
    reader = await kept(durable, "reader")
    await reader.subscribe("a", qos=2)
    writer = await kept(durable, "writer")
    await writer.publish("a", b"one", 2, number=7)
    await reader.message(payload=b"one")
    await reader.settled()
    await durable.restart(is_crash=is_crash)
    writer = await kept(durable, "writer", is_there=True)
    await writer.publish("a", b"two", 2, number=7)
    reader = await kept(durable, "reader", is_there=True)
    payloads = [packet.payload for packet in await reader.gathered() if packet.kind == PUBLISH]
    assert payloads.count(b"two") == 1


async def test_retained_messages_are_there_and_cleared_ones_are_not(
    durable: DurableScene, is_crash: bool
):
    writer = await durable.client("writer")
    await writer.publish("a", b"kept", 1, retain=True)
    await writer.publish("b", b"gone", 1, retain=True)
    await writer.publish("b", b"", 1, retain=True)
    await writer.publish("c", b"old", 2, retain=True)
    await writer.publish("c", b"new", 2, retain=True)
    await durable.restart(is_crash=is_crash)
    reader = await durable.client("reader")
    await reader.subscribe("#", qos=2)
    assert sorted(await reader.messages(2)) == [b"kept", b"new"]
    await reader.nothing()


async def test_the_will_of_a_client_that_was_connected_when_the_power_went_is_published(
    durable: DurableScene,
):
    await durable.client("gone", will=RawWill("will", b"x", 1, retain=True), clean=True)
    back = await durable.client("back", will=RawWill("will", b"not this", 1), clean=True)
    writer = await kept(durable, "writer")
    await writer.publish("a", b"", 1)
    await back.settled()
    reader = await kept(durable, "reader")  # its commit holds the wills, too
    await reader.subscribe("will", qos=1)
    await durable.restart(is_crash=True)
    reader = await kept(durable, "reader", is_there=True)
    back = await durable.client("back", clean=True)  # whoever is back is not gone
    durable.pass_s(60)
    await reader.message(topic="will", payload=b"x", qos=1)
    await reader.nothing()


async def test_a_will_expires_from_its_publication_on_not_from_connect(tmp_path: Path):
    """The expiry of a will counts from when it is published (MQTT 5.0, 3.1.3.2.4), after a crash, too."""
    async with durable_scene(tmp_path, version=5) as scene:
        will = RawWill("will", b"x", 1, properties={Prop.MESSAGE_EXPIRY: 5})
        await scene.client("gone", will=will)
        reader = await kept(scene, "reader")
        await reader.subscribe("will", qos=1)  # its commit holds the will
        scene.pass_s(1)
        scene.pass_s(60)
        await scene.restart(is_crash=True)
        reader = await kept(scene, "reader", is_there=True)
        scene.pass_s(40)
        found = await reader.message(topic="will", payload=b"x")
        assert 3 < found.properties[Prop.MESSAGE_EXPIRY] <= 5


async def test_a_session_expires_while_the_broker_is_down(tmp_path: Path):
    async with durable_scene(tmp_path, version=5) as scene:
        for client_id, seconds in (("short", 5), ("long", 3600)):
            props = {Prop.SESSION_EXPIRY: seconds}
            client = await scene.client(client_id, clean=False, props=props)
            await client.subscribe("a", qos=1)
            await client.disconnect()
        await scene.restart(is_crash=False)
        scene.pass_s(10)
        for client_id, is_there in (("short", False), ("long", True)):
            client = await scene.client(client_id, clean=False)
            assert client.connack is not None
            assert client.connack.is_present is is_there


async def test_properties_options_and_expiry_survive(tmp_path: Path, is_crash: bool):
    async with durable_scene(tmp_path, version=5) as scene:
        props = {Prop.SESSION_EXPIRY: 3600}
        reader = await scene.client("reader", clean=False, props=props)
        await reader.subscribe(("a", 1 | AS_PUBLISHED), props={Prop.SUBSCRIPTION_ID: 300})
        await reader.disconnect()
        writer = await scene.client("writer")
        told = {
            Prop.CONTENT_TYPE: "text/plain",
            Prop.RESPONSE_TOPIC: "answers",
            Prop.CORRELATION: b"\0\1",
            Prop.USER: [("k", "1"), ("k", "2")],
        }
        expiry = {Prop.MESSAGE_EXPIRY: 100}
        await writer.publish("a", b"x", 1, retain=True, props=told | expiry)
        await writer.publish("a", b"short", 1, props={Prop.MESSAGE_EXPIRY: 5})
        await scene.restart(is_crash=is_crash)
        scene.pass_s(20)
        reader = await scene.client("reader", clean=False)
        found = await reader.message(payload=b"x", retain=True, properties=told)
        assert found.properties[Prop.SUBSCRIPTION_ID] == [300]
        assert 60 < found.properties[Prop.MESSAGE_EXPIRY] <= 80
        await reader.nothing()
        later = await scene.client("later")
        await later.subscribe("a")
        await later.message(payload=b"x", retain=True, properties=told)


async def test_no_acknowledgement_leaves_before_what_it_promises_is_on_disk(
    durable: DurableScene,
):
    """PUBACK and PUBREC, and then the process dies at once: everything acknowledged is delivered."""
    reader = await kept(durable)
    await reader.subscribe("a", qos=2)
    await reader.disconnect()
    writer = await durable.client("writer")
    for index in range(30):
        qos = 1 + index % 2
        writer.send(raw.publish("a", b"%d" % index, qos, index + 1, version=durable.version))
    acknowledged = set()
    for _ in range(12):  # the others are under way when it ends
        found = await writer.read()
        assert found is not None
        assert found.kind in {PUBACK, PUBREC}
        acknowledged.add(b"%d" % (found.number - 1))
    await durable.restart(is_crash=True)
    reader = await kept(durable, is_there=True)
    got = [packet.payload for packet in await reader.gathered() if packet.kind == PUBLISH]
    assert acknowledged <= set(got)
    assert len(got) == len(set(got))
