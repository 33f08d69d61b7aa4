"""MQTT 5.0, 4.3 to 4.6 and 4.9: the three QoS, order, and flow control."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import kept, listener, payloads
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Prop
from tests.fakes.raw_scene import Scene

table = Statements()


@table("2.2.1-4", "every PUBLISH of the broker has an unused packet id")
@table("4.3.2-1", "every new QoS 1 message gets an unused packet id")
@table("4.3.3-1", "every new QoS 2 message gets an unused packet id")
@table("4.3.2-2", "a QoS 1 message is first sent without DUP")
@table("4.3.3-2", "a QoS 2 message is first sent without DUP")
async def unused_ids(scene: Scene) -> None:
    client = await listener(scene, "t", qos=2)
    other = await scene.client("other")
    open_numbers: set[int] = set()
    for index in range(30):
        await other.publish("t", b"%d" % index, 1 + index % 2)
        found = await client.expect(PUBLISH, qos=1 + index % 2, dup=False)
        assert found.number not in open_numbers
        open_numbers.add(found.number)
        if index % 3 == 0:
            await client.acknowledge(found)
            open_numbers.discard(found.number)


@table("4.3.2-4", "a QoS 1 message is answered with PUBACK and its id")
@table("4.3.2-5", "after PUBACK the same id is a new message, DUP or not")
async def qos1_received(scene: Scene) -> None:
    client = await scene.client()
    reader = await listener(scene, "t", client_id="reader")
    for dup in (False, True, True):
        client.send(raw.publish("t", b"x", 1, 5, version=5, dup=dup))
        await client.expect(PUBACK, number=5)
        await reader.message(payload=b"x")


@table("4.3.3-3", "a QoS 2 message is unacknowledged until its PUBREC")
@table("4.3.3-4", "PUBREC is answered with PUBREL, unless it refuses")
@table("4.3.3-5", "PUBREL is unacknowledged until its PUBCOMP")
@table("4.3.3-6", "after PUBREL the message is not sent again")
async def qos2_sent(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("t", qos=2)
    for payload in (b"1", b"2", b"3"):
        await client.publish("t", payload, 2)
    first, second, third = [await client.expect(PUBLISH, qos=2) for _ in range(3)]
    client.send(raw.ack(PUBREC, second.number))
    await client.expect(PUBREL, number=second.number)
    client.send(raw.ack(PUBREC, third.number, 0x83))
    await client.nothing()
    for _ in range(2):
        await scene.cut(client)
        client = await kept(scene)
        found = {(packet.kind, packet.number, packet.dup) for packet in await client.gathered()}
        assert found == {(PUBLISH, first.number, True), (PUBREL, second.number, False)}
    client.send(raw.ack(PUBCOMP, second.number), raw.ack(PUBREC, first.number))
    await client.expect(PUBREL, number=first.number)
    client.send(raw.ack(PUBCOMP, first.number))
    await client.settled()
    await scene.cut(client)
    await (await kept(scene)).nothing()


@table("4.3.3-7", "what was sent does not expire")
async def sent_does_not_expire(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("t", qos=2)
    await client.publish("t", b"x", 2, props={Prop.MESSAGE_EXPIRY: 5})
    first = await client.expect(PUBLISH, qos=2)
    scene.pass_s(10)
    await scene.cut(client)
    client = await kept(scene)
    await client.message(qos=2, number=first.number, dup=True)


@table("4.3.3-8", "a QoS 2 message is answered with PUBREC and its id")
@table("4.3.3-10", "until PUBREL the same id is the same message: answered, not delivered again")
@table("4.3.3-11", "PUBREL is answered with PUBCOMP and its id")
@table("4.3.3-12", "after PUBCOMP the same id is a new message")
async def qos2_received(scene: Scene) -> None:
    client = await kept(scene)
    reader = await listener(scene, "t", client_id="reader")
    for payload in (b"1", b"2"):
        for dup in (False, True, False):
            client.send(raw.publish("t", payload, 2, 5, version=5, dup=dup))
            await client.expect(PUBREC, number=5)
        await scene.cut(client)
        client = await kept(scene)
        client.send(raw.publish("t", payload, 2, 5, version=5, dup=True))
        await client.expect(PUBREC, number=5)
        client.send(raw.ack(PUBREL, 5))
        await client.expect(PUBCOMP, number=5, code=0)
        await reader.message(payload=payload)
        await reader.nothing()


@table("4.3.3-9", "after a PUBREC that refuses, the same id is a new message")
async def refused_qos2(scene: Scene) -> None:
    client = await scene.client(user="writer")
    reader = await listener(scene, "home/#", client_id="reader")
    client.send(raw.publish("secret/t", b"1", 2, 5, version=5))
    await client.expect(PUBREC, number=5, code=0x87)
    client.send(raw.publish("home/t", b"2", 2, 5, version=5))
    await client.expect(PUBREC, number=5, code=0)
    await reader.message(payload=b"2")
    client.send(raw.ack(PUBREL, 5))
    await client.expect(PUBCOMP, number=5, code=0)


@table("4.3.3-13", "the exchange goes on although the message has expired")
async def expired_goes_on(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.publish("t", b"x", 2, 5, version=5, props={Prop.MESSAGE_EXPIRY: 1}))
    await client.expect(PUBREC, number=5)
    scene.pass_s(5)
    client.send(raw.publish("t", b"x", 2, 5, version=5, dup=True, props={Prop.MESSAGE_EXPIRY: 1}))
    await client.expect(PUBREC, number=5)
    client.send(raw.ack(PUBREL, 5))
    await client.expect(PUBCOMP, number=5, code=0)


@table("4.6.0-5", "messages of one client, topic and QoS keep their order")
@table("4.6.0-6", "every topic is ordered, also through a queue and on resumption")
async def ordered(scene: Scene) -> None:
    sent = [b"%d" % index for index in range(250)]
    for qos in range(3):
        away = await kept(scene)
        await away.subscribe(("t", 2))
        if qos:
            await away.disconnect()
        reader = await listener(scene, "t", qos=2)
        writer = await scene.client("writer")
        for payload in sent:
            await writer.publish("t", payload, qos)
        assert await reader.messages(len(sent)) == sent
        if qos:
            away = await kept(scene)
        begun = [await away.expect(PUBLISH) for _ in range(20)]
        if qos:
            await scene.cut(away)
            away = await kept(scene)
            assert await away.messages(len(sent)) == sent
        assert [one.payload for one in begun] == sent[:20]
        await scene.cut(away)
        await (await scene.client("kept")).disconnect()
        for client in (reader, writer):
            await client.disconnect()


@table("3.3.4-9", "no more unacknowledged messages than the client's receive maximum")
@table("4.9.0-1", "the send quota begins with the receive maximum at most")
@table("4.9.0-2", "with no quota left nothing of QoS 1 and 2 is sent")
async def receive_maximum(scene: Scene) -> None:
    client = await listener(scene, "t", qos=2, props={Prop.RECEIVE_MAXIMUM: 3})
    other = await scene.client("other")
    for index in range(9):
        await other.publish("t", b"%d" % index, 1 + index % 2)
    begun = [await client.expect(PUBLISH) for _ in range(3)]
    await client.nothing()
    for index in range(3, 9):  # each gives room for one more
        found = begun.pop(0)
        if index < 6 or found.qos == 1:
            await client.acknowledge(found)
        else:
            client.send(raw.ack(PUBREC, found.number, 0x97))  # a refusal gives room, too
        begun.append(await client.expect(PUBLISH, payload=b"%d" % index))
        await client.nothing()


@table("3.3.4-10", "only PUBLISH waits for the quota")
@table("4.9.0-3", "everything else is answered although the quota is used up")
async def others_do_not_wait(scene: Scene) -> None:
    client = await listener(scene, ("t", 2), ("q0", 0), props={Prop.RECEIVE_MAXIMUM: 1})
    other = await scene.client("other")
    for _ in range(3):
        await other.publish("t", b"x", 2)
    await client.expect(PUBLISH)
    await client.settled()
    assert await client.subscribe("more", qos=1) == (1,)
    assert await client.unsubscribe("more") == (0,)
    await client.publish("nowhere", b"x", 1)
    await client.publish("nowhere", b"x", 2)
    await other.publish("q0", b"free", 0)
    await other.settled()
    assert payloads(await client.gathered()) == [b"free"]
