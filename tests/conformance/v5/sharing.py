"""MQTT 5.0, 4.8: shared subscriptions."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import is_not_granted, kept, listener, payloads
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import PUBACK, PUBLISH, PUBREC, PUBREL
from tests.fakes.raw_scene import Scene

table = Statements()


@table("4.8.2-1", "a shared filter has a name of its group")
async def share_needs_name(scene: Scene) -> None:
    for pattern in ("$share//t", "$share/", "$share//"):
        await is_not_granted(scene, pattern)


@table("4.8.2-2", "the name of a group has no wildcard, and a filter follows it")
async def share_name(scene: Scene) -> None:
    for pattern in ("$share/g+/t", "$share/#/t", "$share/g", "$share/g/", "$share/g/a#"):
        await is_not_granted(scene, pattern)
    members = [
        await listener(scene, "$share/g/t/#", qos=1, client_id=f"member{index}")
        for index in range(3)
    ]
    alone = await listener(scene, "$share/other/t/+", "t/+", client_id="alone")
    sent = [b"%d" % index for index in range(12)]
    for payload in sent:
        await members[0].publish("t/x", payload, 1)
    shares = [payloads(await member.gathered()) for member in members]
    assert sorted(one for share in shares for one in share) == sorted(sent)
    assert sorted(payloads(await alone.gathered())) == sorted(sent * 2)


@table("4.8.2-4", "a QoS 2 message that had begun is finished with the member it began with")
async def share_finishes_qos2(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("$share/g/t", qos=2)
    other = await scene.client("other")
    await other.publish("t", b"x", 2)
    found = await client.expect(PUBLISH, qos=2)
    await other.subscribe("$share/g/t", qos=2)
    client.send(raw.ack(PUBREC, found.number))
    await client.expect(PUBREL)
    await scene.cut(client)
    await other.nothing()
    client = await kept(scene)
    await client.expect(PUBREL, number=found.number)
    client.send(raw.ack(raw.PUBCOMP, found.number))
    await client.settled()
    await other.nothing()


@table("4.8.2-5", "a QoS 2 message begun with one member goes to no other when its session ends")
async def share_drops_qos2(scene: Scene) -> None:
    client = await kept(scene, expiry_s=5)
    await client.subscribe("$share/g/t", qos=2)
    other = await scene.client("other")
    await other.publish("t", b"x", 2)
    await client.expect(PUBLISH, qos=2)
    await other.subscribe("$share/g/t", qos=2)
    await scene.cut(client)
    scene.pass_s(6)
    await other.nothing()


@table("4.8.2-6", "what one member refuses goes to no other")
@table("4.4.0-2", "what was refused is not sent again")
async def share_refused(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("$share/g/t", qos=2)
    other = await scene.client("other")
    for qos, kind in ((1, PUBACK), (2, PUBREC)):
        await other.publish("t", b"x", qos)
        found = await client.expect(PUBLISH, qos=qos)
        client.send(raw.ack(kind, found.number, 0x97))
    await client.nothing()
    await other.subscribe("$share/g/t", qos=2)
    await other.nothing()
    await scene.cut(client)
    await (await kept(scene)).nothing()
