"""MQTT 5.0, 3.3.4 to 3.7: what acknowledges a PUBLISH, and what is sent again."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import closes, kept, listener, size_of, told
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    Prop,
)
from tests.fakes.raw_scene import Scene

table = Statements()


@table("2.2.1-2", "a PUBLISH with QoS 0 has no packet id")
@table("4.3.1-1", "QoS 0 is sent with QoS 0 and without DUP")
@table("3.3.4-1", "the acknowledgement is the one of the QoS")
async def answers_of_qos(scene: Scene) -> None:
    client = await listener(scene, "t", qos=2)
    client.send(raw.publish("t", b"0", 0, version=5), raw.PING)
    found = await client.expect(PUBLISH, qos=0, dup=False, payload=b"0")
    assert found.number == 0
    await client.expect(raw.PINGRESP)
    client.send(raw.publish("t", b"1", 1, 7, version=5))
    await client.take(PUBACK, 7)
    client.send(raw.publish("t", b"2", 2, 8, version=5))
    await client.take(PUBREC, 8)


@table("2.2.1-5", "acknowledgements have the id of their PUBLISH")
async def acknowledged_by_id(scene: Scene) -> None:
    client = await scene.client()
    for number in (1, 0x0100, 0xFFFF):
        client.send(raw.publish("t", b"", 1, number, version=5))
        await client.expect(PUBACK, number=number)
        client.send(raw.publish("t", b"", 2, number, version=5))
        await client.expect(PUBREC, number=number)
        client.send(raw.ack(PUBREL, number))
        await client.expect(PUBCOMP, number=number)


@table("3.3.1-1", "what is sent again has DUP set")
@table("4.4.0-1", "on resumption, and only then, what is unacknowledged is sent again with its id")
@table("4.3.2-3", "a QoS 1 message is unacknowledged until its PUBACK")
async def sent_again(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("t", qos=1)
    await client.publish("t", b"1", 1)
    first = await client.expect(PUBLISH, dup=False)
    scene.pass_s(30)
    await client.nothing()
    await scene.cut(client)
    for _ in range(2):
        client = await kept(scene)
        await client.expect(PUBLISH, dup=True, number=first.number, payload=b"1", qos=1)
        await client.nothing()
        await scene.cut(client)
    client = await kept(scene)
    await client.message(number=first.number)
    await client.settled()
    await scene.cut(client)
    await (await kept(scene)).nothing()


@table("3.3.1-3", "the DUP of a publisher is not passed on")
async def dup_is_not_passed_on(scene: Scene) -> None:
    client = await listener(scene, "t", qos=2)
    for qos in (1, 2):
        await client.publish("t", b"x", qos, dup=True)
        await client.message(dup=False, qos=qos)


@table("3.3.4-7", "more unacknowledged messages than announced end the connection")
async def receive_maximum_of_the_broker(scene: Scene) -> None:
    client = await scene.client()
    most = told(client).get(Prop.RECEIVE_MAXIMUM, 65_535)
    numbers = range(1, most + 1)
    client.send(*(raw.publish("t", b"", 2, number, version=5) for number in numbers))
    for number in numbers:
        await client.expect(PUBREC, number=number, code=0)
    client.send(raw.publish("t", b"", 2, most + 1, version=5))
    await closes(client, 0x93)


@table("3.5.2-1", "PUBREC has a reason of the standard")
@table("3.7.2-1", "PUBCOMP has a reason of the standard")
async def reasons_of_acks(scene: Scene) -> None:
    client = await scene.client(user="writer")
    for topic, codes in (("home/t", {0x00, 0x10}), ("secret/t", {0x87})):
        for qos in (1, 2):
            answer = await client.publish(topic, b"", qos)
            assert answer is not None
            assert answer.code in codes
    client.send(raw.ack(PUBREL, 999))
    await client.expect(PUBCOMP, number=999, code=0x92)


@table("3.6.2-1", "PUBREL has a reason of the standard")
async def reason_of_pubrel(scene: Scene) -> None:
    client = await listener(scene, "t", qos=2)
    client.send(raw.ack(PUBREC, 4711))
    await client.expect(PUBREL, number=4711, code=0x92)
    await client.publish("t", b"x", 2)
    found = await client.expect(PUBLISH)
    client.send(raw.ack(PUBREC, found.number))
    await client.expect(PUBREL, number=found.number, code=0)


@table("3.4.2-1", "PUBACK has a reason of the standard")
async def reason_of_puback(scene: Scene) -> None:
    client = await scene.client(user="reader")
    found = await client.publish("home/t", b"", 1)
    assert found is not None
    assert found.code == 0x87


NEVER_TOO_LARGE = {
    "3.4.2-2": "Reason String, PUBACK",
    "3.4.2-3": "User Property, PUBACK",
    "3.5.2-2": "Reason String, PUBREC",
    "3.5.2-3": "User Property, PUBREC",
    "3.6.2-2": "Reason String, PUBREL",
    "3.6.2-3": "User Property, PUBREL",
    "3.7.2-2": "Reason String, PUBCOMP",
    "3.7.2-3": "User Property, PUBCOMP",
    "3.9.2-1": "Reason String, SUBACK",
    "3.9.2-2": "User Property, SUBACK",
    "3.11.2-1": "Reason String, UNSUBACK",
    "3.11.2-2": "User Property, UNSUBACK",
    "3.14.2-3": "Reason String, DISCONNECT",
    "3.14.2-4": "User Property, DISCONNECT",
}


async def explanations_fit(scene: Scene) -> None:
    """Provoke every answer, good and bad, from a client that takes no larger packet than its CONNACK."""
    probe = await scene.client("probe", user="writer")
    assert probe.connack is not None
    most = size_of(probe.connack)
    client = await scene.client("small", user="writer", props={Prop.MAXIMUM_PACKET: most})
    client.send(
        raw.publish("home/t", b"", 1, 1, version=5),
        raw.publish("secret/t", b"", 1, 2, version=5),
        raw.publish("home/t", b"", 2, 3, version=5),
        raw.publish("secret/t", b"", 2, 4, version=5),
        raw.ack(PUBREL, 3),
        raw.ack(PUBREL, 99),
        raw.ack(PUBREC, 98),
        raw.subscribe(5, "secret/#", "a#", version=5),
        raw.unsubscribe(6, "secret/#", version=5),
        raw.publish("bad/+", b"", version=5),
    )
    count = 0
    while (found := await client.read()) is not None:
        assert size_of(found) <= most
        count += 1
    assert count >= 9


for _number, _says in NEVER_TOO_LARGE.items():
    table(_number, f"{_says}: left out where the packet would be too large")(explanations_fit)
