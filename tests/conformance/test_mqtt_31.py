"""MQTT 3.1, as old sensors speak it: its CONNECT, and one way there and back at each QoS."""

import pytest

from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import CONNACK, PUBLISH, RawWill
from tests.fakes.raw_scene import Scene


@pytest.fixture
def old(scene: Scene) -> Scene:
    """The scene, where clients speak 3.1 unless told otherwise."""
    scene.version = 3
    return scene


async def test_its_connect_is_accepted(old: Scene):
    client = await old.client("sensor-1")
    await client.nothing()


async def test_its_name_with_level_4_is_accepted_too(old: Scene):
    """So the published Meshblu client connects."""
    client = await old.client("meshblu", name="MQIsdp", level=4)
    await client.nothing()


async def test_its_name_with_another_level_is_refused(old: Scene):
    client = await old.socket()
    client.send(raw.connect("c", name="MQIsdp", level=5))
    await client.expect(CONNACK, code=1)
    await client.expect_closed()


async def test_its_level_under_the_new_name_is_refused(old: Scene):
    client = await old.socket()
    client.send(raw.connect("c", name="MQTT", level=3))
    await client.expect(CONNACK, code=1)
    await client.expect_closed()


async def test_an_empty_client_id_is_refused(old: Scene):
    client = await old.socket()
    client.send(raw.connect("", version=3))
    await client.expect(CONNACK, code=2)
    await client.expect_closed()


async def test_a_client_id_of_23_characters_is_accepted(old: Scene):
    await (await old.client("x" * 23)).nothing()


async def test_a_wrong_password_is_answered_with_code_4(old: Scene):
    client = await old.socket()
    client.send(raw.connect("c", version=3, password=b"wrong"))
    await client.expect(CONNACK, code=4)
    await client.expect_closed()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_goes_there_and_back(old: Scene, qos: int):
    client = await old.client()
    assert await client.subscribe("a/+", qos=qos) == (qos,)
    await client.publish("a/b", b"payload", qos)
    await client.message(topic="a/b", payload=b"payload", qos=qos, retain=False)
    await client.unsubscribe("a/+")
    await client.publish("a/b", b"payload", qos)
    await client.nothing()


@pytest.mark.parametrize("other", [4, 5])
async def test_it_talks_with_newer_clients(old: Scene, other: int):
    client = await old.client("old")
    newer = await old.client("new", version=other)
    await client.subscribe("to/old", qos=2)
    await newer.subscribe("to/new", qos=2)
    for qos in (0, 1, 2):
        await client.publish("to/new", b"up", qos)
        await newer.message(topic="to/new", payload=b"up", qos=qos)
        await newer.publish("to/old", b"down", qos)
        await client.message(topic="to/old", payload=b"down", qos=qos)


async def test_retained_messages_and_wills_work(old: Scene):
    client = await old.client("gone", will=RawWill("will", b"x", 1, retain=True))
    await old.cut(client)
    reader = await old.client("reader")
    await reader.subscribe("will", qos=1)
    await reader.message(topic="will", payload=b"x", qos=1, retain=True)


async def test_a_kept_session_gets_what_it_missed(old: Scene):
    """Its CONNACK has no session present flag: the byte is reserved, and 0 (`raw_reading` insists)."""
    client = await old.client("kept", clean=False)
    await client.subscribe("a", qos=2)
    await client.disconnect()
    writer = await old.client("writer")
    for qos in (1, 2):
        await writer.publish("a", b"%d" % qos, qos)
    again = await old.client("kept", clean=False)
    assert await again.messages(2) == [b"1", b"2"]


async def test_a_message_that_was_not_acknowledged_comes_again(old: Scene):
    client = await old.client("kept", clean=False)
    await client.subscribe("a", qos=1)
    await (await old.client("writer")).publish("a", b"x", 1)
    first = await client.expect(PUBLISH, dup=False)
    await old.cut(client)
    again = await old.client("kept", clean=False)
    await again.message(payload=b"x", number=first.number, dup=True)
