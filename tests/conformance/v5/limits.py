"""MQTT 5.0, 3.1.2.10 and 3.1.2.11: what a client may limit, and what CONNACK announces."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import closes, kept, listener, size_of, told
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import (
    DISCONNECT,
    PUBACK,
    PUBREC,
    SUBACK,
    UNSUBACK,
    Prop,
)
from tests.fakes.raw_scene import Scene

table = Statements()

EXPLANATIONS = {Prop.REASON_STRING, Prop.USER}


@table("3.1.2-22", "silence for one and a half keep-alives ends the connection")
@table("3.2.2-22", "without a Server Keep Alive, the client's holds")
async def keep_alive(scene: Scene) -> None:
    client = await scene.client(keep_alive=10)
    assert Prop.SERVER_KEEP_ALIVE not in told(client)
    scene.pass_s(8)
    await client.settled()
    scene.pass_s(12)
    await client.settled()
    scene.pass_s(1)  # each look sees what came before it
    scene.pass_s(16)
    last = await client.read()
    if last is not None:
        assert (last.kind, last.code) == (DISCONNECT, 0x8D)
        assert await client.read() is None


@table("3.1.2-24", "no packet is larger than the client's maximum, CONNACK included")
async def tiny_maximum(scene: Scene) -> None:
    for most in (5, 10):
        client = await scene.socket()
        client.send(raw.connect("", version=5, props={Prop.MAXIMUM_PACKET: most}), raw.PING)
        while (found := await client.read()) is not None:
            assert size_of(found) <= most
            if found.kind == raw.PINGRESP:
                break


@table("3.1.2-25", "what is too large counts as sent")
async def maximum_packet_size(scene: Scene) -> None:
    most = 100
    client = await kept(scene, props={Prop.MAXIMUM_PACKET: most, Prop.RECEIVE_MAXIMUM: 1})
    await client.subscribe("t", qos=2)
    other = await scene.client("other")
    for qos in range(3):
        await other.publish("t", b"L" * most, qos)
        await other.publish("t", b"s", qos)
    await other.publish("t", b"L" * most, 1, retain=True)
    await client.subscribe("+", qos=2)
    for qos in range(3):
        found = await client.message(payload=b"s", qos=qos)
        assert size_of(found) <= most
    await client.nothing()


@table("3.1.2-26", "no alias is above the client's maximum")
@table("3.3.2-11", "a PUBLISH has no alias above the client's maximum")
async def aliases_within(scene: Scene) -> None:
    client = await listener(scene, "#", props={Prop.ALIAS_MAXIMUM: 2})
    other = await scene.client("other")
    sent = [f"long/topic/number/{index % 4}" for index in range(12)]
    for topic in sent:
        await other.publish(topic, b"x")
    known: dict[int, str] = {}
    for topic in sent:
        found = await client.message()
        alias = found.properties.get(Prop.ALIAS, 0)
        assert alias <= 2
        if alias and found.topic:
            known[alias] = found.topic
        assert (found.topic or known[alias]) == topic


@table("3.1.2-27", "without an alias maximum the client gets no aliases")
async def no_aliases(scene: Scene) -> None:
    for index, props in enumerate(({}, {Prop.ALIAS_MAXIMUM: 0})):
        client = await listener(scene, "t", client_id=f"l{index}", props=props)
        for _ in range(5):
            await client.publish("t", b"x")
            found = await client.message()
            assert found.topic == "t"
            assert Prop.ALIAS not in found.properties


@table("3.1.2-28", "Response Information is sent only when asked for")
async def no_response_information(scene: Scene) -> None:
    for props in ({}, {Prop.REQUEST_RESPONSE_INFORMATION: 0}):
        client = await scene.client(props=props)
        assert Prop.RESPONSE_INFORMATION not in told(client)


@table("3.1.2-29", "whoever wants no problem information gets it in CONNACK and DISCONNECT at most")
async def no_problem_information(scene: Scene) -> None:
    client = await scene.client(user="reader", props={Prop.PROBLEM_INFORMATION: 0})
    client.send(
        raw.publish("home/x", b"refused", 1, 1, version=5),
        raw.publish("home/x", b"refused", 2, 2, version=5),
        raw.subscribe(3, "secret/#", "home/#", version=5),
        raw.unsubscribe(4, "unknown", version=5),
        raw.ack(raw.PUBREL, 9),
    )
    answers = [await client.expect(kind) for kind in (PUBACK, PUBREC, SUBACK, UNSUBACK)]
    assert answers[0].code >= 0x80
    answers.append(await client.expect(raw.PUBCOMP))
    for answer in answers:
        assert not EXPLANATIONS & set(answer.properties)


@table("3.2.2-19", "no Reason String makes CONNACK too large")
@table("3.2.2-20", "no User Property makes CONNACK too large")
async def small_connack(scene: Scene) -> None:
    whole = await scene.client()
    assert whole.connack is not None
    least = size_of(whole.connack)
    client = await scene.client("small", props={Prop.MAXIMUM_PACKET: least})
    assert client.connack is not None
    assert size_of(client.connack) <= least
    refused_one = await scene.socket()
    refused_one.send(
        raw.connect("small", version=5, password=b"wrong", props={Prop.MAXIMUM_PACKET: 5})
    )
    found = await refused_one.read()
    assert found is None or size_of(found) <= 5


@table("3.2.2-17", "an alias above the announced maximum is refused")
@table("3.2.2-18", "without an announced maximum every alias is refused")
async def alias_maximum(scene: Scene) -> None:
    client = await scene.client()
    most = told(client).get(Prop.ALIAS_MAXIMUM, 0)
    client.send(raw.publish("t", version=5, props={Prop.ALIAS: most + 1}))
    await closes(client, 0x94)
