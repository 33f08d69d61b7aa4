"""What MQTT 5.0 asks of a server without a number: sessions, wills, aliases, limits and acknowledgements where they meet."""

import pytest

from tests.conformance.v5.steps import closes, is_resumed, kept, listener, payloads, size_of, told
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    Prop,
    RawWill,
)
from tests.fakes.raw_scene import Scene

WEEK_S = 7 * 24 * 3600


async def test_disconnect_may_end_a_session_that_was_to_last(scene5: Scene) -> None:
    watcher = await listener(scene5, "w")
    will = RawWill("w", properties={Prop.WILL_DELAY: 50})
    client = await kept(scene5, will=will)
    await client.disconnect(0x04, props={Prop.SESSION_EXPIRY: 0})
    await watcher.message(topic="w")  # the session ended, so its delay is over (3.1.3.2.2)
    assert not is_resumed(await kept(scene5))


async def test_disconnect_may_change_how_long_a_session_lasts(scene5: Scene) -> None:
    for changed_s, is_there in ((5, False), (100, True)):
        client = await kept(scene5, expiry_s=50)
        await client.disconnect(0, props={Prop.SESSION_EXPIRY: changed_s})
        scene5.pass_s(60)
        client = await kept(scene5, expiry_s=50)
        assert is_resumed(client) is is_there
        await client.disconnect()


async def test_a_clean_start_may_begin_a_session_that_lasts(scene5: Scene) -> None:
    client = await scene5.client("k", clean=True, props={Prop.SESSION_EXPIRY: 60})
    await client.subscribe("t", qos=1)
    await client.disconnect()
    assert is_resumed(await scene5.client("k", clean=False))


async def test_without_an_expiry_interval_a_session_ends_with_its_connection(scene5: Scene) -> None:
    client = await kept(scene5)
    await client.disconnect()
    client = await scene5.client("kept", clean=False)
    assert is_resumed(client)
    await scene5.cut(client)
    assert not is_resumed(await kept(scene5))


async def test_a_session_for_ever_lasts_as_long_as_connack_says(scene5: Scene) -> None:
    client = await kept(scene5, expiry_s=0xFFFFFFFF)
    assert told(client).get(Prop.SESSION_EXPIRY) == WEEK_S


@pytest.mark.parametrize(
    ("clean", "delay_s", "is_published"),
    [(False, 0, True), (False, 50, False), (True, 50, True), (True, 0, True)],
)
async def test_a_will_after_a_take_over_depends_on_delay_and_clean_start(
    scene5: Scene, clean: bool, delay_s: int, is_published: bool
) -> None:
    watcher = await listener(scene5, "w")
    old = await kept(scene5, will=RawWill("w", properties={Prop.WILL_DELAY: delay_s}))
    new = await scene5.client("kept", clean=clean, props={Prop.SESSION_EXPIRY: 60})
    await old.expect_closed(0x8E)
    await new.settled()
    if is_published:
        await watcher.message(topic="w")
    await watcher.nothing()


async def test_a_refused_publish_still_gives_its_alias(scene5: Scene) -> None:
    client = await scene5.client(user="writer")
    for topic in ("secret/t", ""):
        answer = await client.publish(topic, b"x", 1, props={Prop.ALIAS: 1})
        assert answer is not None
        assert answer.code == 0x87


async def test_a_repeated_qos_2_publish_may_give_an_alias(scene5: Scene) -> None:
    client = await scene5.client()
    reader = await listener(scene5, "#", client_id="reader")
    said = raw.publish("t", b"x", 2, 5, version=5)
    again = raw.publish("t", b"x", 2, 5, version=5, dup=True, props={Prop.ALIAS: 3})
    client.send(said, again, raw.publish("", b"y", version=5, props={Prop.ALIAS: 3}))
    await client.expect(PUBREC, number=5)
    await client.expect(PUBREC, number=5)
    assert await reader.messages(2) == [b"x", b"y"]


async def test_an_acknowledgement_that_nobody_waits_for_is_harmless(scene5: Scene) -> None:
    client = await scene5.client()
    client.send(raw.ack(PUBACK, 77), raw.ack(PUBCOMP, 78, 0x92), raw.ack(PUBACK, 79, 0x80))
    await client.nothing()


async def test_a_resumed_session_keeps_to_the_new_receive_maximum(scene5: Scene) -> None:
    client = await kept(scene5)
    await client.subscribe("t", qos=2)
    for index in range(6):
        await client.publish("t", b"%d" % index, 1 + index % 2)
    assert len([await client.expect(PUBLISH) for _ in range(6)]) == 6
    await scene5.cut(client)
    client = await kept(scene5, props={Prop.RECEIVE_MAXIMUM: 2})
    begun = [await client.expect(PUBLISH, dup=True) for _ in range(2)]
    await client.nothing()
    for index in range(2, 6):
        await client.acknowledge(begun.pop(0))
        begun.append(await client.expect(PUBLISH, dup=True, payload=b"%d" % index))
        await client.nothing()


async def test_a_resumed_session_keeps_to_the_new_maximum_packet_size(scene5: Scene) -> None:
    client = await kept(scene5)
    await client.subscribe("t", qos=1)
    for payload in (b"L" * 200, b"s"):
        await client.publish("t", payload, 1)
    assert len([await client.expect(PUBLISH) for _ in range(2)]) == 2
    await scene5.cut(client)
    client = await kept(scene5, props={Prop.MAXIMUM_PACKET: 100})
    await client.message(payload=b"s", dup=True)
    await client.nothing()


async def test_a_released_message_holds_its_place_in_the_receive_maximum(scene5: Scene) -> None:
    client = await listener(scene5, "t", qos=2, props={Prop.RECEIVE_MAXIMUM: 1})
    for payload in (b"1", b"2"):
        await client.publish("t", payload, 2)
    found = await client.expect(PUBLISH, payload=b"1")
    client.send(raw.ack(PUBREC, found.number))
    await client.expect(PUBREL, number=found.number)
    await client.nothing()
    client.send(raw.ack(PUBCOMP, found.number))
    await client.expect(PUBLISH, payload=b"2")


async def test_what_is_sent_again_has_its_topic_whatever_the_alias_was(scene5: Scene) -> None:
    topic = "a/long/topic/that/is/worth/an/alias"
    options = {"props": {Prop.ALIAS_MAXIMUM: 5}}
    client = await kept(scene5, **options)
    await client.subscribe(topic, qos=1)
    for _ in range(3):
        await client.publish(topic, b"x", 1)
        await client.expect(PUBLISH)
    await scene5.cut(client)
    client = await kept(scene5, **options)
    known: dict[int, str] = {}
    for _ in range(3):
        found = await client.expect(PUBLISH, dup=True)
        alias = found.properties.get(Prop.ALIAS, 0)
        assert (found.topic or known.get(alias)) == topic
        known[alias] = found.topic or known[alias]


async def test_an_alias_is_not_lost_with_a_packet_that_was_too_large(scene5: Scene) -> None:
    props = {Prop.ALIAS_MAXIMUM: 5, Prop.MAXIMUM_PACKET: 100}
    client = await listener(scene5, "#", qos=1, props=props)
    other = await scene5.client("other")
    topic = "a/long/topic/that/is/worth/an/alias"
    known: dict[int, str] = {}
    for size, qos in ((120, 1), (120, 0), (40, 1), (120, 1), (40, 0)):
        await other.publish(topic, b"x" * size, qos)
    await other.settled()
    for _ in range(2):
        found = await client.message()
        assert size_of(found) <= 100
        alias = found.properties.get(Prop.ALIAS, 0)
        assert (found.topic or known.get(alias)) == topic
        known[alias] = found.topic or known[alias]
    await client.nothing()


async def test_a_keep_alive_beyond_the_limit_is_answered_with_the_limit(scene5: Scene) -> None:
    client = await scene5.client(keep_alive=0xFFFF)
    server_s = told(client).get(Prop.SERVER_KEEP_ALIVE, 0xFFFF)
    most_s = scene5.broker.limits.keep_alive_s
    assert server_s == (most_s or 0xFFFF)


async def test_properties_of_an_acknowledgement_are_read_and_forgotten(scene5: Scene) -> None:
    client = await listener(scene5, "t", qos=2)
    props = {Prop.REASON_STRING: "because", Prop.USER: [("a", "b"), ("a", "b")]}
    await client.publish("t", b"x", 2)
    found = await client.expect(PUBLISH)
    client.send(raw.ack(PUBREC, found.number, 0, props=props))
    await client.expect(PUBREL, number=found.number)
    client.send(raw.ack(PUBCOMP, found.number, 0, props=props))
    await client.nothing()
    client.send(raw.ack(PUBACK, 1, 0, props=[(Prop.REASON_STRING, "a")] * 2))
    await closes(client, 0x82)


async def test_user_properties_may_stand_in_every_packet_of_a_client(scene5: Scene) -> None:
    user = {Prop.USER: [("a", "b"), ("a", "b")]}
    client = await scene5.client(props=user, will=RawWill("w", properties=user))
    assert await client.subscribe("t", props=user) == (0,)
    client.send(raw.unsubscribe(9, "t", version=5, props=user))
    await client.expect(raw.UNSUBACK, number=9, codes=(0,))
    client.send(raw.disconnect(0, props=user))
    assert await client.read() is None


async def test_packets_of_the_announced_size_pass_and_larger_ones_do_not(scene5: Scene) -> None:
    client = await listener(scene5, "t")
    most = told(client)[Prop.MAXIMUM_PACKET]
    most = min(most, 2_000_000)
    packet = raw.publish("t", b"x" * (most - 9), version=5)
    packet = raw.publish("t", b"x" * (most - 9 - (len(packet) - most)), version=5)
    assert len(packet) == most
    client.send(packet)
    found = await client.message()
    assert size_of(found) == most


async def test_pubrec_said_twice_is_answered_twice(scene5: Scene) -> None:
    client = await listener(scene5, "t", qos=2)
    await client.publish("t", b"x", 2)
    found = await client.expect(PUBLISH)
    for _ in range(2):
        client.send(raw.ack(PUBREC, found.number))
        await client.expect(PUBREL, number=found.number, code=0)
    client.send(raw.ack(PUBREC, found.number + 1))
    await client.expect(PUBREL, number=found.number + 1, code=0x92)
    client.send(raw.ack(PUBCOMP, found.number))
    await client.nothing()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_packets_may_come_byte_by_byte(scene5: Scene, qos: int) -> None:
    client = await listener(scene5, "t", qos=2)
    props = {Prop.USER: [("a", "b")], Prop.CONTENT_TYPE: "c"}
    packet = raw.publish("t", b"x" * 150, qos, 9, version=5, props=props)
    await client.send_slowly(packet + raw.PING, tuple(range(1, 20)))
    found = [await client.read() for _ in range(2 + bool(qos))]
    kinds = {packet.kind for packet in found if packet is not None}
    assert kinds == {PUBLISH, raw.PINGRESP} | ({PUBACK} if qos == 1 else {PUBREC} if qos else set())
    assert payloads([packet for packet in found if packet is not None]) == [b"x" * 150]
