"""MQTT 5.0, 3.3.1.3: retained messages, and the options that have to do with them."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import kept, listener
from tests.fakes.raw_packets import AS_PUBLISHED, NEVER_SEND, SEND_IF_NEW, Prop
from tests.fakes.raw_scene import Scene

table = Statements()


@table("3.3.1-5", "a retained message replaces the one before it")
async def retained(scene: Scene) -> None:
    writer = await scene.client("writer")
    for payload in (b"old", b"new"):
        await writer.publish("t", payload, 1, retain=True, props={Prop.CONTENT_TYPE: "c"})
    client = await listener(scene, "t", qos=2)
    await client.message(payload=b"new", retain=True, qos=1, properties={Prop.CONTENT_TYPE: "c"})
    await client.nothing()


@table("3.3.1-6", "an empty retained message is passed on and clears its topic")
@table("3.3.1-7", "an empty message is not kept as retained")
async def cleared(scene: Scene) -> None:
    writer = await scene.client("writer")
    await writer.publish("t", b"old", 1, retain=True)
    client = await listener(scene, "t")
    await client.message(payload=b"old")
    await writer.publish("t", b"", 1, retain=True)
    await writer.publish("never/there", b"", 1, retain=True)
    await client.message(payload=b"", retain=False)
    other = await listener(scene, "#", client_id="other")
    await other.nothing()


@table("3.3.1-8", "what is not to be retained leaves the retained message alone")
async def not_retained(scene: Scene) -> None:
    writer = await scene.client("writer")
    await writer.publish("t", b"kept", 1, retain=True)
    await writer.publish("t", b"passing", 1)
    await writer.publish("t", b"", 1)
    await writer.publish("other", b"passing", 1)
    client = await listener(scene, "#")
    await client.message(payload=b"kept", retain=True)
    await client.nothing()


@table("3.3.1-9", "retain handling 0: retained messages come with every SUBSCRIBE")
async def handling_0(scene: Scene) -> None:
    client = await scene.client()
    await client.publish("t", b"x", 1, retain=True)
    for _ in range(2):
        await client.subscribe("t")
        await client.message(payload=b"x", retain=True)


@table("3.3.1-10", "retain handling 1: retained messages come with a new subscription")
async def handling_1(scene: Scene) -> None:
    client = await kept(scene)
    await client.publish("t", b"x", 1, retain=True)
    await client.subscribe(("t", SEND_IF_NEW))
    await client.message(payload=b"x", retain=True)
    await client.subscribe(("t", SEND_IF_NEW | 1))
    await client.nothing()
    await client.disconnect()
    client = await kept(scene)
    await client.subscribe(("t", SEND_IF_NEW))
    await client.nothing()
    await client.unsubscribe("t")
    await client.subscribe(("t", SEND_IF_NEW))
    await client.message(payload=b"x", retain=True)


@table("3.3.1-11", "retain handling 2: no retained messages")
async def handling_2(scene: Scene) -> None:
    client = await scene.client()
    await client.publish("t", b"x", 1, retain=True)
    await client.subscribe(("t", NEVER_SEND))
    await client.nothing()
    await client.publish("t", b"y", 1, retain=True)
    await client.message(payload=b"y")


@table("3.3.1-12", "without Retain As Published, RETAIN is not passed on")
async def retain_not_passed_on(scene: Scene) -> None:
    client = await listener(scene, "t")
    for qos in range(3):
        await client.publish("t", b"x", qos, retain=True)
        await client.message(retain=False)


@table("3.3.1-13", "with Retain As Published, RETAIN is passed on as it came")
async def retain_passed_on(scene: Scene) -> None:
    client = await listener(scene, ("t", AS_PUBLISHED | 2))
    for qos in range(3):
        for retain in (True, False):
            await client.publish("t", b"x", qos, retain=retain)
            await client.message(retain=retain, qos=qos)
