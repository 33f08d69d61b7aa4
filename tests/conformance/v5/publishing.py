"""MQTT 5.0, 3.3.2: topics, properties, aliases and expiry of a PUBLISH."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import closes, kept, listener, payloads, told
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import Prop
from tests.fakes.raw_scene import Scene

table = Statements()

CONTENT = {
    Prop.PAYLOAD_FORMAT: 1,
    Prop.CONTENT_TYPE: "text/plain; charset=utf-8",
    Prop.RESPONSE_TOPIC: "answers/é",
    Prop.CORRELATION: b"\x00\xff\x01",
    Prop.USER: [("b", "1"), ("a", "2"), ("b", "1"), ("", "")],
}


@table("1.5.4-3", "EF BB BF is a character like others")
async def zero_width(scene: Scene) -> None:
    client = await listener(scene, "\ufefft", "t")
    await client.publish("\ufefft", b"x", props={Prop.CONTENT_TYPE: "\ufeffa"})
    await client.message(topic="\ufefft", properties={Prop.CONTENT_TYPE: "\ufeffa"})
    await client.nothing()


@table("3.3.2-3", "what is delivered matches the filter")
async def matching_only(scene: Scene) -> None:
    client = await listener(scene, "a/+/c", "d/#")
    topics = {"a/b/c": True, "a//c": True, "a/c": False, "a/b/c/d": False, "d": True, "d/e/f": True}
    for topic in topics:
        await client.publish(topic, b"x")
    found = [packet.topic for packet in await client.gathered()]
    assert found == [topic for topic, matches in topics.items() if matches]


@table("3.3.2-4", "the payload format indicator is passed on")
@table("3.3.2-15", "the response topic is passed on")
@table("3.3.2-16", "the correlation data is passed on")
@table("3.3.2-17", "the user properties are passed on")
@table("3.3.2-18", "the user properties keep their order")
@table("3.3.2-20", "the content type is passed on")
async def passed_on(scene: Scene) -> None:
    away = await kept(scene)
    await away.subscribe("t", qos=2)
    await away.disconnect()
    client = await listener(scene, "t", qos=2)
    for qos in range(3):
        await client.publish("t", b"x", qos, props=CONTENT, retain=qos == 2)
        assert (await client.message()).properties == CONTENT
    late = await listener(scene, "t", client_id="late")
    assert (await late.message(retain=True)).properties == CONTENT
    away = await kept(scene)
    for _ in range(2):
        assert (await away.message()).properties == CONTENT


@table("3.3.2-5", "what has expired is not delivered")
async def expired(scene: Scene) -> None:
    away = await kept(scene)
    await away.subscribe("#", qos=1)
    await away.disconnect()
    writer = await scene.client("writer")
    await writer.publish("t", b"expires", 1, props={Prop.MESSAGE_EXPIRY: 5})
    await writer.publish("t", b"stays", 1)
    await writer.publish("r", b"expires", 1, retain=True, props={Prop.MESSAGE_EXPIRY: 5})
    scene.pass_s(6)
    away = await kept(scene)
    await away.message(payload=b"stays")
    await away.nothing()
    late = await listener(scene, "r")
    await late.nothing()


@table("3.3.2-6", "the expiry interval is what is left of it")
async def expiry_left(scene: Scene) -> None:
    away = await kept(scene)
    await away.subscribe("t", qos=1)
    await away.disconnect()
    writer = await listener(scene, "t", client_id="writer")
    await writer.publish("t", b"x", 1, retain=True, props={Prop.MESSAGE_EXPIRY: 100})
    await writer.message(properties={Prop.MESSAGE_EXPIRY: 100})
    scene.pass_s(40)
    for client in (await kept(scene), await listener(scene, "t", client_id="late")):
        found = await client.message(payload=b"x")
        assert 58 <= found.properties[Prop.MESSAGE_EXPIRY] <= 60


@table("3.3.2-7", "aliases end with their connection")
async def aliases_end(scene: Scene) -> None:
    client = await kept(scene)
    await client.publish("t", b"x", 1, props={Prop.ALIAS: 1})
    await client.publish("", b"x", 1, props={Prop.ALIAS: 1})
    await client.disconnect()
    client = await kept(scene)
    client.send(raw.publish("", b"x", version=5, props={Prop.ALIAS: 1}))
    await closes(client, 0x82, 0x94)


@table("3.3.2-12", "every alias up to the announced maximum is accepted")
async def every_alias(scene: Scene) -> None:
    client = await listener(scene, "#")
    most = told(client).get(Prop.ALIAS_MAXIMUM, 0)
    for alias in range(1, most + 1):
        await client.publish(f"t/{alias}", b"x", props={Prop.ALIAS: alias})
        await client.message(topic=f"t/{alias}")
    for alias in range(most, 0, -1):
        await client.publish("", b"y", 1, props={Prop.ALIAS: alias})
        found = await client.message(topic=f"t/{alias}", payload=b"y")
        assert Prop.ALIAS not in found.properties
    if most:
        await client.publish("again", b"x", props={Prop.ALIAS: 1})
        await client.publish("", b"x", props={Prop.ALIAS: 1})
        assert [one.topic for one in await client.gathered()] == ["again"] * 2


@table("4.7.2-1", "a wildcard at the beginning matches no topic that begins with $")
async def dollar(scene: Scene) -> None:
    client = await listener(scene, "#", "+/#", "+/broker/version")
    named = await listener(scene, "$SYS/#", client_id="named")
    assert payloads(await named.gathered())
    await client.publish("$other/t", b"x", 1, retain=True)
    assert not payloads(await client.gathered())
