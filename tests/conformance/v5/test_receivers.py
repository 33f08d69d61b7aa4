"""What MQTT 5.0 asks of a server without a number: subscriptions, shared or not, where their options meet."""

import pytest

from tests.conformance.v5.steps import kept, listener, payloads
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import (
    AS_PUBLISHED,
    NO_LOCAL,
    PUBLISH,
    Prop,
)
from tests.fakes.raw_scene import Scene


async def test_a_shared_subscription_gets_no_retained_messages(scene5: Scene) -> None:
    client = await scene5.client()
    await client.publish("t", b"x", 1, retain=True)
    await client.subscribe("$share/g/t")
    await client.nothing()


async def test_a_shared_subscription_has_its_identifier(scene5: Scene) -> None:
    client = await scene5.client()
    await client.subscribe("$share/g/t", props={Prop.SUBSCRIPTION_ID: 9})
    await client.publish("t", b"x")
    await client.message(properties={Prop.SUBSCRIPTION_ID: [9]})


async def test_a_shared_filter_with_a_wildcard_matches_no_dollar_topic(scene5: Scene) -> None:
    client = await listener(scene5, "$share/g/#")
    scene5.pass_s(120)
    assert not payloads(await client.gathered())


async def test_properties_go_to_clients_of_5_only(scene5: Scene) -> None:
    old = await scene5.client("old", version=4)
    await old.subscribe("t", qos=1)
    new = await listener(scene5, "t", qos=1)
    props = {Prop.CONTENT_TYPE: "c", Prop.USER: [("a", "b")]}
    await new.publish("t", b"new", 1, props=props)
    assert (await new.message(payload=b"new")).properties == props
    await old.message(payload=b"new", qos=1)
    await old.publish("t", b"old", 1)
    await old.message(payload=b"old")
    assert (await new.message(payload=b"old")).properties == {}


async def test_identifiers_and_options_last_as_long_as_the_session(scene5: Scene) -> None:
    client = await kept(scene5)
    await client.subscribe(("t", 1 | AS_PUBLISHED), props={Prop.SUBSCRIPTION_ID: 7})
    await client.subscribe(("own", 1 | NO_LOCAL))
    await client.disconnect()
    other = await scene5.client("other")
    await other.publish("t", b"away", 1, retain=True)
    client = await kept(scene5)
    await client.message(payload=b"away", retain=True, properties={Prop.SUBSCRIPTION_ID: [7]})
    await other.publish("t", b"back", 1, retain=True)
    await client.message(payload=b"back", retain=True, properties={Prop.SUBSCRIPTION_ID: [7]})
    await client.publish("own", b"x", 1)
    await client.nothing()


async def test_no_local_of_one_filter_does_not_silence_another(scene5: Scene) -> None:
    client = await listener(scene5, ("t", NO_LOCAL), ("t/#", 0))
    await client.publish("t", b"x")
    await client.message(payload=b"x")
    await client.nothing()


async def test_an_empty_retained_message_keeps_retain_where_asked(scene5: Scene) -> None:
    client = await listener(scene5, ("t", AS_PUBLISHED))
    await client.publish("t", b"", 1, retain=True)
    await client.message(payload=b"", retain=True)


async def test_a_retained_message_comes_with_no_more_than_the_granted_qos(scene5: Scene) -> None:
    client = await scene5.client()
    await client.publish("t", b"x", 2, retain=True)
    for granted in range(3):
        await client.subscribe(("t", granted | AS_PUBLISHED))
        await client.message(qos=granted, retain=True)


async def test_every_retained_message_reaches_a_new_subscriber_with_a_small_window(
    scene5: Scene,
) -> None:
    writer = await scene5.client("writer")
    topics = {f"r/{index}" for index in range(600)}
    for index, topic in enumerate(sorted(topics)):
        writer.send(raw.publish(topic, b"x" * 500, index % 2, 1, retain=True, version=5))
    await writer.settled()
    client = await listener(scene5, "r/#", qos=1, props={Prop.RECEIVE_MAXIMUM: 2})
    found = {(await client.message(retain=True)).topic for _ in topics}
    assert found == topics
    await client.nothing()


@pytest.mark.parametrize("pattern", ["t", "+", "$share/g/t"])
async def test_no_matching_subscribers_is_said_only_when_it_is_true(
    scene5: Scene, pattern: str
) -> None:
    client = await scene5.client()
    watcher = await scene5.client("watcher")
    for is_there in (False, True, False):
        if is_there:
            await watcher.subscribe(pattern)
        for qos in (1, 2):
            answer = await client.publish("t", b"x", qos)
            assert answer is not None
            assert answer.code in ({0x00} if is_there else {0x10} if qos == 1 else {0x00, 0x10})
        if is_there:
            await watcher.unsubscribe(pattern)


async def test_what_a_gone_member_never_finished_goes_to_another(scene5: Scene) -> None:
    gone = await scene5.client("gone")
    await gone.subscribe("$share/g/t", qos=1)
    writer = await scene5.client("writer")
    sent = [b"%d" % index for index in range(3)]
    for payload in sent:
        await writer.publish("t", payload, 1)
    assert [(await gone.expect(PUBLISH)).payload for _ in sent] == sent
    other = await listener(scene5, "$share/g/t", client_id="other", qos=1)
    await scene5.cut(gone)
    assert await other.messages(3) == sent
    await writer.publish("t", b"next", 1)
    await other.message(payload=b"next")


async def test_a_shared_group_that_was_left_by_all_can_be_joined_again(scene5: Scene) -> None:
    for _ in range(2):
        client = await listener(scene5, "$share/g/t", qos=1)
        await client.publish("t", b"x", 1)
        await client.message(payload=b"x")
        await client.disconnect()


async def test_overlapping_retained_messages_come_with_each_filter(scene5: Scene) -> None:
    client = await scene5.client()
    await client.publish("t/x", b"x", 1, retain=True)
    for pattern, identifier in (("t/#", 1), ("t/+", 2)):
        await client.subscribe(pattern, props={Prop.SUBSCRIPTION_ID: identifier})
        await client.message(retain=True, properties={Prop.SUBSCRIPTION_ID: [identifier]})
    await client.nothing()


RECEIVERS = {
    "plain": ({}, 0, {}),
    "an identifier": ({}, 0, {Prop.SUBSCRIPTION_ID: 5}),
    "retain as published": ({}, AS_PUBLISHED, {}),
    "no local": ({}, NO_LOCAL, {}),
    "QoS 2": ({}, 2, {}),
    "a small maximum": ({Prop.MAXIMUM_PACKET: 60}, 0, {}),
    "aliases": ({Prop.ALIAS_MAXIMUM: 3}, 0, {}),
}


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("version", [3, 4, 5])
async def test_the_hundredth_message_is_treated_as_the_first(
    scene5: Scene, receiver: str, version: int
) -> None:
    """A broker that remembers what a topic means must not forget what its receivers asked for."""
    asked, options, props = RECEIVERS[receiver]
    other = await scene5.client("other", version=version)
    client = await scene5.client("reader", props=asked)
    await client.subscribe(("t", options), props=props)
    fits = Prop.MAXIMUM_PACKET not in asked
    for count in range(5):
        for payload in (b"s", b"L" * 70):
            await other.publish("t", payload, retain=count == 4)
            await other.settled()
            if options != NO_LOCAL:
                await client.publish("t", payload)
            if payload == b"s" or fits:
                for _ in range(1 if options == NO_LOCAL else 2):
                    found = await client.message(payload=payload, qos=0)
                    assert found.properties.get(Prop.SUBSCRIPTION_ID) == (
                        [props[Prop.SUBSCRIPTION_ID]] if props else None
                    )
                    assert found.topic == "t" or Prop.ALIAS in found.properties
            if options == NO_LOCAL:
                await client.publish("t", payload)
            await client.nothing()
