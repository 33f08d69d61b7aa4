"""MQTT 5.0, 3.8 to 3.11 and 4.7: subscriptions, their options, and filters."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import closes, is_not_granted, kept, listener
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import NO_LOCAL, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, Prop
from tests.fakes.raw_scene import Scene

table = Statements()


@table("2.2.1-6", "SUBACK and UNSUBACK have the id of their request")
@table("3.8.4-2", "SUBACK has the packet id of its SUBSCRIBE")
@table("3.10.4-5", "UNSUBACK has the packet id of its UNSUBSCRIBE, known filter or not")
async def packet_ids(scene: Scene) -> None:
    client = await scene.client()
    for number in (1, 0x0100, 0xFFFF):
        client.send(raw.subscribe(number, "t", version=5))
        await client.expect(SUBACK, number=number, codes=(0,))
        client.send(raw.unsubscribe(number, "t", "unknown", version=5))
        await client.expect(UNSUBACK, number=number, codes=(0x00, 0x11))


@table("3.8.3-3", "with No Local, nobody gets what he published himself")
async def no_local(scene: Scene) -> None:
    client = await listener(scene, ("t", NO_LOCAL | 1))
    other = await scene.client("other")
    await client.publish("t", b"own", 1)
    await client.publish("t", b"own", 0)
    await other.publish("t", b"other's", 1)
    await client.message(payload=b"other's")
    await client.nothing()


@table("3.8.4-1", "SUBSCRIBE is answered with SUBACK")
@table("3.8.4-6", "SUBACK has a reason for each filter")
@table("3.8.4-7", "the reason is what was granted, or that it was not")
@table("3.9.3-1", "the reasons stand in the order of the filters")
@table("3.9.3-2", "SUBACK has reasons of the standard")
@table("3.8.4-5", "many filters are handled as if they came one by one, with one answer")
async def suback(scene: Scene) -> None:
    client = await scene.client(user="reader")
    codes = await client.subscribe(
        ("home/a", 2), ("secret/x", 2), ("home/b", 0), ("home/+", 1), ("home/a", 0)
    )
    assert (codes[0], *codes[2:]) == (2, 0, 1, 0)
    assert codes[1] == 0x87
    other = await scene.client("other")
    await other.publish("home/a", b"x", 2)
    found = [await client.message()]
    found += [one for one in await client.gathered() if one.kind == PUBLISH]
    assert max(one.qos for one in found) == 1  # the last SUBSCRIBE to home/a asked for QoS 0


@table("3.8.4-3", "a filter that is there already gets the new options")
async def replaced(scene: Scene) -> None:
    client = await scene.client()
    for options, expected in ((2, 2), (0, 0), (1 | NO_LOCAL, None), (1, 1)):
        await client.subscribe(("t", options))
        await client.publish("t", b"x", 2)
        if expected is not None:
            await client.message(qos=expected)
        await client.nothing()


@table("3.8.4-4", "replacing a subscription loses no message, and sends what is retained again")
async def replaced_without_loss(scene: Scene) -> None:
    client = await listener(scene, "t", qos=1)
    other = await scene.client("other")
    await other.publish("r", b"retained", 1, retain=True)
    await other.publish("t", b"before", 1)
    first = await client.expect(PUBLISH, payload=b"before")
    for index in range(5):
        client.send(raw.subscribe(100 + index, ("t", 1), ("r", 1), version=5))
        await other.publish("t", b"%d" % index, 1)
    await client.settled()
    await client.acknowledge(first)
    found: list[bytes] = []
    while len(found) < 10:
        packet = await client.read()
        assert packet is not None
        if packet.kind == PUBLISH:
            found.append(packet.payload)
            await client.acknowledge(packet)
    assert sorted(found) == [b"%d" % index for index in range(5)] + [b"retained"] * 5


@table("3.8.4-8", "the QoS delivered is the lesser of what was published and granted")
@table("4.8.2-3", "a shared subscription gets no more than its granted QoS")
async def lesser_qos(scene: Scene) -> None:
    for pattern in ("t", "$share/g/t"):
        for granted in range(3):
            client = await listener(scene, (pattern, granted), client_id=f"l{granted}")
            for qos in range(3):
                await client.publish("t", b"x", qos)
                await client.message(qos=min(qos, granted))
            await client.disconnect()


@table("3.3.4-2", "overlapping subscriptions deliver with the highest of their QoS")
async def overlapping(scene: Scene) -> None:
    client = await listener(scene, ("t/#", 0), ("t/+", 2), ("t/x", 1))
    await client.publish("t/x", b"x", 2)
    first = await client.message()
    copies = [first, *(one for one in await client.gathered() if one.kind == PUBLISH)]
    assert len(copies) in {1, 3}
    assert max(one.qos for one in copies) == 2


@table("3.3.4-3", "subscription identifiers come with what their subscriptions match")
@table("3.3.4-4", "one copy has the identifiers of all subscriptions that match")
@table("3.3.4-5", "of several copies each has the identifier of its subscription")
async def identifiers(scene: Scene) -> None:
    client = await scene.client()
    for pattern, identifier in (("t/#", 1), ("t/+", 268_435_455), ("t/x", None), ("u", 3)):
        props = {} if identifier is None else {Prop.SUBSCRIPTION_ID: identifier}
        await client.subscribe((pattern, 0), props=props)
    await client.publish("t/x", b"x")
    found = [packet for packet in await client.gathered() if packet.kind == PUBLISH]
    told = [packet.properties.get(Prop.SUBSCRIPTION_ID, []) for packet in found]
    assert sorted(one for each in told for one in each) == [1, 268_435_455]
    if len(found) > 1:
        assert all(len(each) <= 1 for each in told)
    await client.publish("u", b"x", retain=True)
    await client.message(properties={Prop.SUBSCRIPTION_ID: [3]})
    await client.subscribe("u")  # again, without an identifier
    await client.message(properties={Prop.SUBSCRIPTION_ID: None})
    await client.publish("u", b"x")
    await client.message(properties={Prop.SUBSCRIPTION_ID: None})


@table("3.10.4-1", "a filter is unsubscribed character by character")
async def unsubscribed_exactly(scene: Scene) -> None:
    client = await listener(scene, "a/+", "A/+", "a/#")
    assert await client.unsubscribe("a/b", "a/+/", "A/+", "+/+", "a/") == (17, 17, 0, 17, 17)
    await client.publish("A/x", b"x")
    await client.nothing()
    assert await client.unsubscribe("a/#") == (0,)
    await client.publish("a/x", b"x")
    await client.message(topic="a/x")
    await client.nothing()


@table("3.10.4-2", "after UNSUBACK nothing new is sent")
async def nothing_new(scene: Scene) -> None:
    client = await listener(scene, "t", qos=1)
    await client.unsubscribe("t")
    await (await scene.client("other")).publish("t", b"x", 1)
    await client.nothing()


@table("3.10.4-3", "after UNSUBACK what had begun is finished")
async def begun_is_finished(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("t", qos=2)
    for payload in (b"1", b"2"):
        await client.publish("t", payload, 2)
    first = await client.expect(PUBLISH, payload=b"1")
    second = await client.expect(PUBLISH, payload=b"2")
    await client.unsubscribe("t")
    client.send(raw.ack(PUBREC, first.number))
    await client.expect(PUBREL, number=first.number)
    await scene.cut(client)
    client = await kept(scene)
    await client.expect(PUBREL, number=first.number)
    client.send(raw.ack(raw.PUBCOMP, first.number))
    await client.message(number=second.number, dup=True)


@table("3.10.4-4", "UNSUBSCRIBE is answered with UNSUBACK")
@table("3.10.4-6", "many filters are unsubscribed as if they came one by one, with one answer")
@table("3.11.3-1", "the reasons stand in the order of the filters")
@table("3.11.3-2", "UNSUBACK has reasons of the standard")
async def unsuback(scene: Scene) -> None:
    client = await listener(scene, "a", "b", "$share/g/c")
    codes = await client.unsubscribe("a", "unknown", "a", "$share/g/c", "c", "b")
    assert codes == (0x00, 0x11, 0x11, 0x00, 0x11, 0x00)
    for topic in "abc":
        await client.publish(topic, b"x")
    await client.nothing()


@table("4.7.1-1", "# stands alone and last")
async def hash_alone(scene: Scene) -> None:
    for pattern in ("a#", "a/#/b", "#/a", "##", "a/b#", "/#/"):
        await is_not_granted(scene, pattern)
    client = await listener(scene, "a/#")
    for topic in ("a", "a/", "a/b/c", "ab"):
        await client.publish(topic, b"x")
    assert [one.topic for one in await client.gathered()] == ["a", "a/", "a/b/c"]


@table("4.7.1-2", "+ fills a level")
async def plus_alone(scene: Scene) -> None:
    for pattern in ("a+", "+a/b", "a/b+/c", "++"):
        await is_not_granted(scene, pattern)
    client = await listener(scene, "+/b/+")
    for topic in ("a/b/c", "/b/", "a/b", "a/b/c/d"):
        await client.publish(topic, b"x")
    assert [one.topic for one in await client.gathered()] == ["a/b/c", "/b/"]


@table("4.7.3-4", "topics are compared as they are: no normal form, no case, no blanks")
async def no_normal_form(scene: Scene) -> None:
    topics = ["caf\u00e9", "cafe\u0301", "CAF\u00c9", "caf\u00e9 ", "/caf\u00e9", "\ufb01", "fi"]
    for topic in topics:
        client = await listener(scene, topic)
        for other in topics:
            await client.publish(other, b"x")
        found = [one.topic for one in await client.gathered()]
        assert found == [topic]
        await client.disconnect()


@table("4.13.1-1", "a malformed packet or protocol error with a reason of its own closes")
async def closes_for_its_reason(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.publish("t", version=5, props=[(Prop.CONTENT_TYPE, "a")] * 2))
    await closes(client, 0x82)
