"""MQTT 5.0, wills: 3.1.2.5, 3.1.3.2 and 3.14.4."""

from tests.conformance.statements import Statements
from tests.conformance.v5.publishing import CONTENT
from tests.conformance.v5.steps import kept, listener
from tests.fakes.raw_packets import Prop, RawWill
from tests.fakes.raw_scene import Scene

table = Statements()


@table(
    "3.1.3-10", "the user properties of a will keep their order, and all its properties are sent"
)
async def will_properties(scene: Scene) -> None:
    client = await listener(scene, "w")
    props = {Prop.MESSAGE_EXPIRY: 50, **CONTENT}
    await scene.cut(await scene.client("dying", will=RawWill("w", properties=props)))
    found = await client.message(payload=b"gone")
    assert found.properties.pop(Prop.MESSAGE_EXPIRY) in {49, 50}
    assert found.properties == CONTENT


@table("3.1.2-7", "a will is kept while its client is connected")
@table(
    "3.1.2-8", "a will is published when the connection ends, after its delay or with its session"
)
async def will_is_published(scene: Scene) -> None:
    client = await listener(scene, "w/#")
    await scene.cut(await scene.client("at-once", will=RawWill("w/at-once")))
    await client.message(topic="w/at-once")
    delayed = RawWill("w/delayed", properties={Prop.WILL_DELAY: 5})
    await scene.cut(await kept(scene, "delayed", will=delayed))
    await client.nothing()
    scene.pass_s(6)
    await client.message(topic="w/delayed")
    ending = RawWill("w/ending", properties={Prop.WILL_DELAY: 50})
    await scene.cut(await kept(scene, "ending", expiry_s=5, will=ending))
    scene.pass_s(6)
    await client.message(topic="w/ending")
    leaving = await scene.client("told", will=RawWill("w/told"))
    await leaving.disconnect(0x04)
    await client.message(topic="w/told")
    await client.nothing()


@table("3.1.2-10", "a will is gone once it was published, or its client said goodbye")
@table("3.14.4-3", "DISCONNECT with reason 0 discards the will")
async def will_is_discarded(scene: Scene) -> None:
    client = await listener(scene, "w")
    for code in (None, 0):
        leaving = await scene.client("leaving", will=RawWill("w"))
        await leaving.disconnect(code)
        await client.nothing()
    await scene.cut(await kept(scene, "dying", will=RawWill("w")))
    await client.message(topic="w")
    again = await kept(scene, "dying")
    await scene.cut(again)
    await client.nothing()


@table("3.1.2-14", "a will without Will Retain is not retained")
@table("3.1.2-15", "a will with Will Retain is retained")
async def will_retain(scene: Scene) -> None:
    client = await listener(scene, "w/#")
    for retain in (False, True):
        will = RawWill(f"w/{retain}", qos=1, retain=retain)
        await scene.cut(await scene.client("dying", will=will))
        await client.message(topic=f"w/{retain}", retain=False)
    late = await listener(scene, "w/#", client_id="late")
    assert [one.topic for one in await late.gathered()] == ["w/True"]


@table("3.1.3-9", "a client that is back before the delay has passed keeps its will")
async def will_is_kept_back(scene: Scene) -> None:
    client = await listener(scene, "w")
    will = RawWill("w", properties={Prop.WILL_DELAY: 5})
    await scene.cut(await kept(scene, "dying", will=will))
    scene.pass_s(2)
    back = await kept(scene, "dying")
    scene.pass_s(20)
    await back.settled()
    await client.nothing()
