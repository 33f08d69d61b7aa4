"""MQTT 3.1.1, 3.8 to 3.14 and 4.7 to 7: SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, topics, errors."""

from tests.conformance.statements import Statements
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, RawWill
from tests.fakes.raw_scene import Scene

table = Statements()


def _flags(data: bytes, right: int) -> list[bytes]:
    return [bytes((data[0] & 0xF0 | flags,)) + data[1:] for flags in range(16) if flags != right]


table.closes("3.8.1-1", "SUBSCRIBE has flags 0010", *_flags(raw.subscribe(1, "a"), 2))
table.closes(
    "3.8.3-1",
    "filters are UTF-8 strings",
    *(raw.subscribe(1, name) for name in (b"\xff", b"a\0", b"\xed\xa0\x80")),
    raw.packet(0x82, b"\0\1\0\5a"),
)
table.closes(
    "3.8.3-3",
    "SUBSCRIBE has at least one filter with its QoS",
    raw.packet(0x82, b"\0\1"),
    raw.packet(0x82, b"\0\1", raw.text("a")),
    raw.packet(0x82, b"\0"),
    raw.packet(0x82),
)
table.closes(
    "3.8.3-4",
    "a requested QoS of 3, or a reserved bit beside it, closes the connection",
    *(raw.subscribe(1, "a", qos=qos) for qos in (3, 4, 8, 0x10, 0x40, 0x80, 0xFF)),
    raw.subscribe(1, "a", ("b", 3)),
)


@table("3.8.4-1", "SUBSCRIBE is answered by SUBACK")
async def _(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.subscribe(1, "a"))
    await client.take(raw.SUBACK, 1)


@table("3.8.4-2", "SUBACK has the packet id of its SUBSCRIBE")
async def _(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.subscribe(300, "a"), raw.subscribe(2, "b"))
    await client.take(raw.SUBACK, 300)
    await client.take(raw.SUBACK, 2)


@table(
    "3.8.4-3", "the same filter again replaces the subscription, and retained messages come again"
)
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    await writer.publish("a/b", b"kept", 1, retain=True)
    reader = await scene.client("reader")
    for qos in (0, 1, 0):
        assert await reader.subscribe("a/+", qos=qos) == (qos,)
        await reader.message(payload=b"kept", qos=qos, retain=True)
        await writer.publish("a/b", b"live", 1)
        await reader.message(payload=b"live", qos=qos)  # once: not beside the old subscription
        await reader.nothing()


@table("3.8.4-4", "many filters in one SUBSCRIBE are as many packets with one answer")
async def _(scene: Scene) -> None:
    client = await scene.client()
    assert await client.subscribe(("a", 0), ("b", 1), ("a", 1), ("c", 2)) == (0, 1, 1, 2)
    for topic, qos in (("a", 1), ("b", 1), ("c", 2)):
        await client.publish(topic, b"x", 2)
        await client.message(topic=topic, qos=qos)
    await client.nothing()


@table("3.8.4-5", "SUBACK has one code a filter: what was granted, or that it failed")
async def _(scene: Scene) -> None:
    client = await scene.client("c", user="reader")
    codes = await client.subscribe(("home/a", 0), ("secret", 1), ("home/b", 1), ("home/c", 2))
    assert codes == (0, 0x80, 1, 2)


@table("3.8.4-6", "the QoS of a delivery is the lower of the published and the granted one")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    for granted in (0, 1, 2):
        reader = await scene.client("reader")
        assert await reader.subscribe("a", qos=granted) == (granted,)
        for published in (0, 1, 2):
            await writer.publish("a", b"x", published)
            await reader.message(qos=min(granted, published))
        await reader.disconnect()


@table("3.9.3-1", "the codes of a SUBACK are in the order of the filters")
async def _(scene: Scene) -> None:
    client = await scene.client("c", user="reader")
    wanted = [(f"home/{index}" if index % 3 else "no", index % 3) for index in range(12)]
    codes = await client.subscribe(*wanted)
    assert codes == tuple(index % 3 or 0x80 for index in range(12))


@table("3.9.3-2", "a SUBACK code is 0, 1, 2 or 0x80")
async def _(scene: Scene) -> None:
    client = await scene.client("c", user="kitchen")
    patterns = ("home/kitchen/#", "#", "+", "$SYS/#", "$x", "$share/g/a", "home/+/x")
    codes = await client.subscribe(*patterns, qos=2)
    assert set(codes) <= {0, 1, 2, 0x80}
    assert len(codes) == len(patterns)


table.closes("3.10.1-1", "UNSUBSCRIBE has flags 0010", *_flags(raw.unsubscribe(1, "a"), 2))
table.closes(
    "3.10.3-1",
    "filters of UNSUBSCRIBE are UTF-8 strings, one behind the other",
    *(raw.unsubscribe(1, name) for name in (b"\xff", b"a\0", b"\xed\xa0\x80")),
    raw.packet(0xA2, b"\0\1\0\5a"),
    raw.packet(0xA2, b"\0\1\0\1a\0"),
)
table.closes(
    "3.10.3-2",
    "UNSUBSCRIBE has at least one filter",
    raw.packet(0xA2, b"\0\1"),
    raw.packet(0xA2),
)


@table("3.10.4-1", "UNSUBSCRIBE compares filters byte by byte")
async def _(scene: Scene) -> None:
    client = await scene.client()
    await client.subscribe("a/+", "A/b", "a/#")
    await client.unsubscribe("a/b", "a/B", "A/+", "#", "a/")
    await client.publish("a/b", b"x")
    await client.message(topic="a/b")
    await client.unsubscribe("a/+")
    await client.unsubscribe("a/#")
    await client.publish("a/b", b"x")
    await client.nothing()
    await client.publish("A/b", b"x")
    await client.message(topic="A/b")


@table("3.10.4-2", "after UNSUBACK no new message is sent")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    writer = await scene.client("writer")
    for qos in (0, 1, 2):
        await reader.subscribe("a", qos=qos)
        await reader.unsubscribe("a")
        await writer.publish("a", b"x", 2)
    await reader.nothing()


@table("3.10.4-3", "deliveries that had begun before UNSUBSCRIBE are completed")
async def _(scene: Scene) -> None:
    reader = await scene.client("kept", clean=False)
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    await writer.publish("a", b"one", 1)
    await writer.publish("a", b"two", 2)
    one, two = await reader.expect(PUBLISH), await reader.expect(PUBLISH)
    await reader.unsubscribe("a")
    reader.send(raw.ack(PUBREC, two.number))
    await reader.expect(PUBREL, number=two.number)
    await scene.cut(reader)
    again = await scene.client("kept", clean=False)
    found = await again.gathered()
    assert sorted((packet.kind, packet.number) for packet in found) == [
        (PUBLISH, one.number),
        (PUBREL, two.number),
    ]
    again.send(raw.ack(PUBACK, one.number), raw.ack(PUBCOMP, two.number))
    await again.nothing()


@table("3.10.4-4", "UNSUBSCRIBE is answered by UNSUBACK with its packet id")
async def _(scene: Scene) -> None:
    client = await scene.client()
    await client.subscribe("a")
    client.send(raw.unsubscribe(0x7001, "a"))
    await client.expect(raw.UNSUBACK, number=0x7001)


@table("3.10.4-5", "UNSUBACK comes also when there was no such subscription")
async def _(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.unsubscribe(5, "never/subscribed"))
    await client.expect(raw.UNSUBACK, number=5)


@table("3.10.4-6", "many filters in one UNSUBSCRIBE are as many packets with one answer")
async def _(scene: Scene) -> None:
    client = await scene.client()
    await client.subscribe("a", "b", "c")
    client.send(raw.unsubscribe(9, "a", "c", "never"))
    await client.expect(raw.UNSUBACK, number=9)
    for topic in ("a", "b", "c"):
        await client.publish(topic, b"x")
    await client.message(topic="b")
    await client.nothing()


@table("3.12.4-1", "PINGREQ is answered by PINGRESP")
async def _(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.PING * 3)
    for _ in range(3):
        await client.expect(PINGRESP)


table.closes("3.14.1-1", "DISCONNECT has flags 0000", *_flags(raw.disconnect(), 0))


@table("3.14.4-3", "DISCONNECT discards the will")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("#")
    for qos in (0, 1, 2):
        client = await scene.client("c", will=RawWill("will", b"x", qos, retain=qos == 1))
        client.send(raw.disconnect())
        await client.expect_closed()
    await reader.nothing()


table.closes(
    "4.7.1-1",
    "a topic name has no wildcard: PUBLISH and will",
    *(raw.publish(topic, b"", qos) for topic in ("a/#", "+") for qos in (0, 1, 2)),
)


@table("4.7.1-2", "# stands alone in the last level")
async def _(scene: Scene) -> None:
    client = await scene.client()
    assert await client.subscribe("#", "a/#", "+/#") == (0, 0, 0)
    await _refused(scene, "a#", "a/#/b", "#/a", "a/b#", "##", "a/##")


@table("4.7.1-3", "+ occupies a whole level, anywhere")
async def _(scene: Scene) -> None:
    client = await scene.client()
    assert await client.subscribe("+", "+/a", "a/+/b", "a/+", "+/+") == (0,) * 5
    await _refused(scene, "a+", "+a", "a/+b/c", "++", "a/b+")


async def _refused(scene: Scene, *patterns: str) -> None:
    """Expect that a filter which is none is refused in SUBACK, or closes the connection."""
    for pattern in patterns:
        client = await scene.client("malformed")
        client.send(raw.subscribe(1, pattern))
        found = await client.read()
        assert found is None or found.codes == (0x80,), f"{pattern!r} was granted: {found}"


@table("4.7.2-1", "a filter that begins with a wildcard matches no topic that begins with $")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("#", "+/#", "+/broker/#", "+/broker/uptime")
    await reader.nothing()
    told = await scene.client("told")
    await told.subscribe("$SYS/#")
    found = [packet for packet in await told.gathered() if packet.kind == PUBLISH]
    assert found
    assert all(packet.topic.startswith("$SYS/") for packet in found)
    await told.unsubscribe("$SYS/#")
    await told.subscribe("$SYS/broker/+")
    await told.gathered()
    scene.pass_s(60)  # values are published again while somebody looks
    assert await told.gathered()
    await reader.nothing()


table.closes(
    "4.7.3-1",
    "topics and filters have at least one character",
    raw.publish("", b"x"),
    raw.publish("", b"x", 1),
    raw.subscribe(1, ""),
    raw.subscribe(1, "a", ""),
    raw.unsubscribe(1, ""),
)
table.closes(
    "4.7.3-2",
    "topics and filters have no U+0000",
    raw.publish("a\0"),
    raw.publish("\0", b"", 2),
    raw.subscribe(1, "a/\0/b"),
    raw.unsubscribe(1, "\0"),
)

DISTINCT = (
    "a",
    "A",
    "a/",
    "/a",
    "/",
    "//",
    "a//b",
    "a/b",
    "a b",
    " a",
    "é",
    "e\u0301",
    "\uff41",
    "a\u200b",
)
"""Topics that some normalisation would make equal."""


@table("4.7.3-4", "topics and filters are compared as they are, without any normalisation")
async def _(scene: Scene) -> None:
    for index, topic in enumerate(DISTINCT):
        reader = await scene.client(f"reader-{index}")
        assert await reader.subscribe(topic, qos=1) == (1,)
    writer = await scene.client("writer")
    for topic in DISTINCT:
        await writer.publish(topic, topic.encode(), 1)
    for reader, topic in zip(scene.clients, DISTINCT, strict=False):
        await reader.message(topic=topic, payload=topic.encode())
        await reader.nothing()


table.closes(
    "4.8.0-1",
    "a protocol violation closes the connection it came by",
    raw.packet(0x20, b"\0\0"),  # what only servers send
    raw.packet(0x90, b"\0\1\0"),
    raw.packet(0xB0, b"\0\1"),
    raw.packet(0xD0),
    raw.packet(0x00),
    raw.packet(0xF0),
    raw.packet(0xC0, b"x"),
    raw.packet(0xE0, b"x"),
    raw.packet(0x40, b"\0"),
    raw.packet(0x40, b"\0\1\0"),
    raw.packet(0x62, b"\0\1\0"),
    raw.packet(0x40, b"\0\0"),
    b"\xc0\x80\x00",  # a length not in its shortest form
    b"\x30\xff\xff\xff\xff\x01",
)


@table("7.0.0-2", "nothing beyond the standard is asked of a client")
async def _(scene: Scene) -> None:
    client = await scene.socket()
    client.send(
        raw.connect("plain"), raw.subscribe(1, "a"), raw.publish("a", b"x"), raw.disconnect()
    )
    kinds = []
    while (found := await client.read()) is not None:
        kinds.append(found.kind)
    assert kinds == [raw.CONNACK, raw.SUBACK, raw.PUBLISH]


@table("7.1.1-1", "TCP carries it, however the bytes are cut")
async def _(scene: Scene) -> None:
    client = await scene.socket()
    told = raw.connect("cut") + raw.subscribe(1, "a", qos=1) + raw.publish("a", b"x" * 300, 1)
    await client.send_slowly(told, (1, 2, 3, 5, 9, 20, len(told) - 301, len(told) - 300))
    await client.expect(raw.CONNACK)
    await client.take(raw.PUBACK)
    await client.take(raw.PUBLISH)
