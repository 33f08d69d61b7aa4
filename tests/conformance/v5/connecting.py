"""MQTT 5.0, 3.1.4, 3.2, 3.12, 3.14 and 4.12: CONNECT, CONNACK, PINGREQ, DISCONNECT and AUTH."""

from tests.conformance.statements import Statements
from tests.conformance.v5.steps import closes, kept, listener, payloads, told
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import CONNACK, DISCONNECT, PUBACK, PUBLISH, SUBACK, Prop, RawWill
from tests.fakes.raw_scene import Scene

table = Statements()

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@table("3.1.3-5", "every client id of 1 to 23 letters and digits is allowed")
async def plain_client_ids(scene: Scene) -> None:
    for client_id in (*(LETTERS[at : at + 23] for at in (0, 23, 39)), "a"):
        await scene.client(client_id)


@table("3.1.4-2", "whoever may not connect is told so and closed")
@table("3.2.2-7", "after a refusal the connection is closed")
@table("3.2.2-6", "a refusal has no session")
async def refused(scene: Scene) -> None:
    await (await kept(scene)).disconnect()
    client = await scene.socket()
    client.send(raw.connect("kept", version=5, password=b"wrong", clean=False))
    found = await client.expect(CONNACK)
    assert found.code in {0x86, 0x87}
    assert not found.is_present
    assert await client.read() is None


@table("3.1.4-5", "a CONNECT that is in order is acknowledged with success")
@table("3.2.2-8", "CONNACK has a reason of the standard")
@table("3.2.2-1", "the reserved bits of CONNACK are 0")
async def acknowledged(scene: Scene) -> None:
    client = await scene.client()
    assert client.connack is not None
    assert client.connack.body[0] in {0, 1}
    assert client.connack.code == 0


@table("3.1.4-6", "what follows a refused CONNECT is not looked at")
async def nothing_after_refusal(scene: Scene) -> None:
    bad = await scene.socket()
    bad.send(
        raw.connect("bad", version=5, password=b"wrong"),
        raw.publish("t", b"x", 1, 1, version=5, retain=True),
        raw.subscribe(2, "t", version=5),
    )
    await closes(bad, 0x86, 0x87)
    client = await listener(scene, "#")
    await client.nothing()


@table("3.2.0-1", "CONNACK comes before everything else")
@table("3.2.0-2", "there is one CONNACK")
async def connack_first(scene: Scene) -> None:
    client = await kept(scene)
    await client.subscribe("t", qos=1)
    await client.disconnect()
    await (await scene.client("other")).publish("t", b"queued", 1)
    client = await scene.socket()
    client.send(
        raw.connect("kept", version=5, clean=False, props={Prop.SESSION_EXPIRY: 60}),
        raw.publish("t", b"at once", 1, 1, version=5),
        raw.subscribe(2, "other", version=5),
        raw.PING,
    )
    client.connack = await client.expect(CONNACK, is_present=True)
    found = [await client.read() for _ in range(5)]
    kinds = sorted(packet.kind for packet in found if packet is not None)
    assert kinds == sorted([PUBLISH, PUBLISH, PUBACK, SUBACK, raw.PINGRESP])


@table("3.2.2-9", "all QoS work, and no lower maximum is announced")
async def every_qos(scene: Scene) -> None:
    client = await scene.client(will=RawWill("will", qos=2, retain=True))
    assert Prop.MAXIMUM_QOS not in told(client)
    assert told(client).get(Prop.RETAIN_AVAILABLE, 1) == 1
    assert await client.subscribe(("a", 0), ("b", 1), ("c", 2)) == (0, 1, 2)
    for qos, topic in enumerate("abc"):
        await client.publish(topic, b"x", qos)
        await client.message(topic=topic, qos=qos)


@table("4.12.0-1", "an authentication method that is not supported is refused")
@table("4.12.0-4", "authentication that fails closes the connection")
async def unknown_method(scene: Scene) -> None:
    client = await scene.socket()
    props = {Prop.AUTH_METHOD: "SCRAM-SHA-1", Prop.AUTH_DATA: b"x"}
    client.send(raw.connect("c", version=5, props=props))
    await closes(client, 0x8C, 0x87)


@table("4.12.0-6", "without a method the broker neither sends AUTH nor names one")
async def no_method(scene: Scene) -> None:
    client = await scene.client()
    assert not {Prop.AUTH_METHOD, Prop.AUTH_DATA} & set(told(client))
    await client.nothing()


@table("4.13.2-1", "after CONNACK or DISCONNECT with a reason from 0x80 the connection is closed")
@table("3.14.4-1", "nothing follows a DISCONNECT")
@table("3.14.4-2", "the sender of DISCONNECT closes")
async def closed_after_disconnect(scene: Scene) -> None:
    client = await listener(scene, "t")
    client.send(
        raw.publish("t", b"before", version=5),
        raw.publish("bad/#", version=5),
        raw.publish("t", b"after", version=5),
        raw.PING,
    )
    found = []
    while (packet := await client.read()) is not None:
        found.append(packet)
    assert found[-1].kind == DISCONNECT
    assert found[-1].code >= 0x80
    assert payloads(found) in ([b"before"], [])


@table("3.14.0-1", "no DISCONNECT before a CONNACK of success")
async def no_disconnect_first(scene: Scene) -> None:
    for said in (raw.packet(0x10, b"\0\4MQTT\5\3\0\0\0\0\1c"), raw.PING, raw.auth()):
        client = await scene.socket()
        client.send(said)
        while (found := await client.read()) is not None:
            assert found.kind != DISCONNECT


@table("3.14.2-2", "the broker's DISCONNECT has no session expiry")
@table("3.14.2-1", "the broker's DISCONNECT has a reason of the standard")
async def dismissal(scene: Scene) -> None:
    old = await kept(scene)
    await kept(scene)
    found = await old.expect(DISCONNECT, code=0x8E)
    assert Prop.SESSION_EXPIRY not in found.properties


@table("3.12.4-1", "PINGREQ is answered")
async def ping(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.PING, raw.PING)
    await client.expect(raw.PINGRESP)
    await client.expect(raw.PINGRESP)


@table("4.2.0-1", "TCP is served")
async def tcp(scene: Scene) -> None:
    await scene.client()
