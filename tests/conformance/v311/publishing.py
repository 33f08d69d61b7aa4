"""MQTT 3.1.1, 3.3 to 3.6 and 4.1 to 4.6: PUBLISH, its acknowledgements, delivery, order."""

from tests.conformance.statements import Statements
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL
from tests.fakes.raw_scene import Scene

table = Statements()


@table("3.3.1-1", "a PUBLISH that is sent again has DUP")
async def _(scene: Scene) -> None:
    reader = await scene.client("kept", clean=False)
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    await writer.publish("a", b"one", 1)
    await writer.publish("a", b"two", 2)
    for payload in (b"one", b"two"):
        await reader.expect(PUBLISH, payload=payload, dup=False)
    await scene.cut(reader)
    again = await scene.client("kept", clean=False)
    for payload in (b"one", b"two"):
        await again.message(payload=payload, dup=True)


@table("3.3.1-2", "QoS 0 never has DUP")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a")
    writer = await scene.client("writer")
    await writer.publish("a", b"x", 1, dup=True)
    await reader.message(qos=0, dup=False)
    writer.send(raw.publish("a", b"x", dup=True))
    await writer.expect_closed()


@table("3.3.1-3", "DUP of a publisher is not passed on")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    for qos in (1, 2):
        await writer.publish("a", b"x", qos, dup=True)
        await reader.message(qos=qos, dup=False)


table.closes(
    "3.3.1-4",
    "QoS 3 closes the connection",
    *(raw.packet(first, raw.text("a"), b"\0\1") for first in (0x36, 0x37, 0x3E, 0x3F)),
)


@table("3.3.1-5", "a retained message is stored with its QoS for later subscribers")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    for qos in (1, 2):
        await writer.publish(f"a/{qos}", b"%d" % qos, qos, retain=True)
    reader = await scene.client("reader")
    await reader.subscribe("a/1", qos=2)
    await reader.message(payload=b"1", qos=1, retain=True)
    await reader.subscribe("a/2", qos=2)
    await reader.message(payload=b"2", qos=2, retain=True)


@table("3.3.1-6", "a new subscription gets the last retained message of every topic that matches")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    for topic in ("a/1", "a/2", "a/1", "b"):
        await writer.publish(topic, topic.encode() + b" new", 1, retain=True)
    reader = await scene.client("reader")
    await reader.subscribe("a/#")
    assert sorted(await reader.messages(2)) == [b"a/1 new", b"a/2 new"]
    await reader.nothing()


@table("3.3.1-7", "a QoS 0 retained message takes the place of the one before")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    await writer.publish("a", b"old", 1, retain=True)
    await writer.publish("a", b"new", 0, retain=True)
    await writer.settled()
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=1)
    await reader.message(payload=b"new", qos=0, retain=True)
    await reader.nothing()


@table("3.3.1-8", "what a new subscription brings has RETAIN")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    await writer.publish("a", b"x", 1, retain=True)
    reader = await scene.client("reader")
    for pattern in ("a", "+", "#", "a"):  # the last one replaces the first
        await reader.subscribe(pattern, qos=1)
        await reader.message(retain=True)


@table("3.3.1-9", "what an established subscription brings has not")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    for qos in (0, 1, 2):
        await writer.publish("a", b"x", qos, retain=True)
        await reader.message(retain=False)


@table("3.3.1-10", "an empty retained message clears its topic and is sent on as any other")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    reader = await scene.client("reader")
    await reader.subscribe("#", qos=2)
    for qos in (0, 1, 2):
        await writer.publish("a", b"x", 1, retain=True)
        await reader.message(payload=b"x")
        await writer.publish("a", b"", qos, retain=True)
        await reader.message(payload=b"", retain=False, qos=qos)
        later = await scene.client("later")
        await later.subscribe("a")
        await later.nothing()
        await later.disconnect()


@table("3.3.1-11", "an empty message is not retained")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    await writer.publish("a", b"", 1, retain=True)
    reader = await scene.client("reader")
    await reader.subscribe("#")
    await reader.nothing()


@table("3.3.1-12", "without RETAIN nothing is stored, replaced or removed")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    await writer.publish("a", b"stays", 1, retain=True)
    await writer.publish("a", b"passes", 1)
    await writer.publish("a", b"", 1)
    await writer.publish("b", b"passes", 1)
    reader = await scene.client("reader")
    await reader.subscribe("#")
    await reader.message(topic="a", payload=b"stays", retain=True)
    await reader.nothing()


table.closes(
    "3.3.2-1",
    "the topic comes first and is UTF-8",
    raw.packet(0x30),
    raw.packet(0x30, b"\0"),
    raw.packet(0x30, b"\0\5abc"),
    raw.packet(0x32, b"\0\3abc"),
    raw.packet(0x32, b"\0\3abc\1"),
    raw.publish(b"\xff"),
    raw.publish(b"a\xed\xa0\x80", b"", 1),
)
table.closes(
    "3.3.2-2",
    "the topic of a PUBLISH has no wildcard",
    *(raw.publish(topic) for topic in ("#", "+", "a/#", "a/+/b", "a#", "a+")),
    raw.publish("a/#", b"", 1),
    raw.publish("+/a", b"", 2),
)


@table("3.3.2-3", "the topic that a subscriber sees matches its filter")
async def _(scene: Scene) -> None:
    writer = await scene.client("writer")
    patterns = {"a/b": "a/b", "a/+": "a/b", "+/b": "a/b", "a/#": "a/b", "#": "a/b", "/+": "/c"}
    for index, (pattern, topic) in enumerate(patterns.items()):
        reader = await scene.client(f"reader-{index}")
        await reader.subscribe(pattern)
        await writer.publish(topic, b"x")
        await reader.message(topic=topic)
        await reader.disconnect()


@table("3.3.4-1", "QoS 0 is not answered, QoS 1 by PUBACK, QoS 2 by PUBREC")
async def _(scene: Scene) -> None:
    client = await scene.client()
    client.send(raw.publish("a", b"x", 0))
    await client.nothing()
    client.send(raw.publish("a", b"x", 1, 7))
    await client.expect(PUBACK, number=7)
    client.send(raw.publish("a", b"x", 2, 8))
    await client.expect(PUBREC, number=8)
    client.send(raw.ack(PUBREL, 8))
    await client.expect(PUBCOMP, number=8)


@table("3.3.5-1", "overlapping subscriptions: delivered with the highest of their QoS")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe(("a/#", 0), ("a/+", 2), ("a/b", 1))
    writer = await scene.client("writer")
    for qos in (0, 1, 2):
        await writer.publish("a/b", b"x", qos)
        await writer.settled()
        found = [await reader.message()]
        await reader.settled()
        found += await reader.gathered()  # copies for the other filters are allowed
        assert max(packet.qos for packet in found) == qos


@table(
    "3.3.5-2", "a PUBLISH that is not allowed is acknowledged as usual, or the connection closed"
)
async def _(scene: Scene) -> None:
    admin = await scene.client("admin")
    await admin.subscribe("#")
    client = await scene.client("c", user="reader")
    client.send(raw.publish("home/x", b"x", 1, 5))
    await client.expect(PUBACK, number=5)
    client.send(raw.publish("home/x", b"x", 2, 6))
    await client.expect(PUBREC, number=6)
    client.send(raw.ack(PUBREL, 6))
    await client.expect(PUBCOMP, number=6)
    await admin.nothing()


table.closes(
    "3.6.1-1",
    "PUBREL has flags 0010",
    *(raw.ack(PUBREL, 1, flags=flags) for flags in range(16) if flags != 2),
)


@table("4.1.0-1", "session state is held as long as the session lasts")
async def _(scene: Scene) -> None:
    reader = await scene.client("kept", clean=False)
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    for round_ in range(3):
        await writer.publish("a", b"%d" % round_, 2)
        await reader.disconnect()
        reader = await scene.client("kept", clean=False)
        found = await reader.gathered()
        assert any(packet.payload == b"%d" % round_ for packet in found)
        for packet in found:
            if packet.kind == PUBLISH:
                await reader.acknowledge(packet)


@table("4.1.0-2", "a session lasts at least as long as its connection")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader", clean=True)
    await reader.subscribe("a")
    scene.pass_s(1)
    scene.pass_s(30 * 86_400)
    await (await scene.client("writer")).publish("a", b"x")
    await reader.message(payload=b"x")


@table("4.3.1-1", "QoS 0 is sent with QoS 0, without DUP, and not stored")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=0)
    writer = await scene.client("writer")
    for qos in (0, 1, 2):
        await writer.publish("a", b"x", qos)
        await reader.expect(PUBLISH, qos=0, dup=False)
    await reader.nothing()


@table("4.3.2-1", "QoS 1 to a client: unused id, no DUP, unacknowledged until PUBACK")
async def _(scene: Scene) -> None:
    reader = await scene.client("kept", clean=False)
    await reader.subscribe("a", qos=1)
    writer = await scene.client("writer")
    await writer.publish("a", b"one", 1)
    await writer.publish("a", b"two", 1)
    one = await reader.expect(PUBLISH, payload=b"one", qos=1, dup=False)
    two = await reader.expect(PUBLISH, payload=b"two", qos=1, dup=False)
    assert one.number != two.number
    reader.send(raw.ack(PUBACK, one.number))
    await reader.settled()
    await scene.cut(reader)
    again = await scene.client("kept", clean=False)
    await again.message(payload=b"two", number=two.number)
    await again.nothing()


@table(
    "4.3.2-2", "QoS 1 from a client: PUBACK, then the same id is a new message whatever DUP says"
)
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=1)
    writer = await scene.client("writer")
    await writer.publish("a", b"one", 1, number=9)
    await writer.publish("a", b"two", 1, number=9, dup=True)
    assert await reader.messages(2) == [b"one", b"two"]


@table("4.3.3-1", "QoS 2 to a client: PUBREL after PUBREC, and never the PUBLISH again after it")
async def _(scene: Scene) -> None:
    reader = await scene.client("kept", clean=False)
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    await writer.publish("a", b"x", 2)
    found = await reader.expect(PUBLISH, qos=2, dup=False)
    reader.send(raw.ack(PUBREC, found.number))
    await reader.expect(PUBREL, number=found.number)
    await scene.cut(reader)
    for _ in range(2):  # PUBREL is unacknowledged until PUBCOMP
        again = await scene.client("kept", clean=False)
        await again.expect(PUBREL, number=found.number)
        await again.nothing()
        await scene.cut(again)
    again = await scene.client("kept", clean=False)
    await again.expect(PUBREL, number=found.number)
    again.send(raw.ack(PUBCOMP, found.number))
    await again.settled()
    await scene.cut(again)
    last = await scene.client("kept", clean=False)
    await last.nothing()


@table("4.3.3-2", "QoS 2 from a client: PUBREC for repeats too, delivered once, free after PUBCOMP")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer", clean=False)
    for _ in range(3):
        writer.send(raw.publish("a", b"one", 2, 9, dup=True))
        await writer.expect(PUBREC, number=9)
    await scene.cut(writer)
    writer = await scene.client("writer", clean=False)  # packet ids outlive the connection
    writer.send(raw.publish("a", b"one", 2, 9, dup=True))
    await writer.expect(PUBREC, number=9)
    writer.send(raw.ack(PUBREL, 9))
    await writer.expect(PUBCOMP, number=9)
    await writer.publish("a", b"two", 2, number=9, dup=True)
    assert await reader.messages(2) == [b"one", b"two"]
    await reader.nothing()


@table("4.4.0-1", "a kept session gets its unacknowledged PUBLISH and PUBREL again, ids unchanged")
async def _(scene: Scene) -> None:
    reader = await scene.client("kept", clean=False)
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    for payload, qos in ((b"one", 1), (b"two", 2), (b"three", 2)):
        await writer.publish("a", payload, qos)
    one, two, three = [await reader.expect(PUBLISH) for _ in range(3)]
    reader.send(raw.ack(PUBREC, two.number))
    await reader.expect(PUBREL, number=two.number)
    await scene.cut(reader)
    again = await scene.client("kept", clean=False)
    found = {(packet.kind, packet.number, packet.payload) for packet in await again.gathered()}
    assert found == {
        (PUBLISH, one.number, b"one"),
        (PUBREL, two.number, b""),
        (PUBLISH, three.number, b"three"),
    }


@table("4.5.0-1", "a message that was accepted is in the state of every client with a match")
async def _(scene: Scene) -> None:
    patterns = ("a/b", "a/+", "a/#", "#")
    for pattern in patterns:
        client = await scene.client(pattern, clean=False)
        await client.subscribe(pattern, qos=1)
        await client.disconnect()
    await (await scene.client("writer")).publish("a/b", b"x", 1)
    for pattern in patterns:
        client = await scene.client(pattern, clean=False)
        await client.message(topic="a/b", payload=b"x", qos=1)


@table("4.6.0-1", "what is sent again is sent in the order of the first time")
async def _(scene: Scene) -> None:
    reader = await scene.client("kept", clean=False)
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    sent = [b"%d" % index for index in range(30)]
    for index, payload in enumerate(sent):
        await writer.publish("a", payload, 1 + index % 2)
    first = [await reader.expect(PUBLISH) for _ in sent]
    assert [packet.payload for packet in first] == sent
    for packet in first[5:15:2]:
        reader.send(raw.ack(PUBREC if packet.qos == 2 else PUBACK, packet.number))
    await reader.settled()
    await scene.cut(reader)
    again = await scene.client("kept", clean=False)
    got = [packet.payload for packet in await again.gathered() if packet.kind == PUBLISH]
    assert got == [payload for payload in sent if payload not in sent[5:15:2]]


@table("4.6.0-5", "every topic is ordered")
async def _(scene: Scene) -> None:
    readers = [await scene.client(f"reader-{index}") for index in range(3)]
    for index, reader in enumerate(readers):
        await reader.subscribe("a/#", qos=index)
    writer = await scene.client("writer")
    writer.send(*(raw.publish(f"a/{index % 3}", b"%d" % index, 0) for index in range(300)))
    for reader in readers:
        got = [int(payload) for payload in await reader.messages(300)]
        assert got == list(range(300))


@table("4.6.0-6", "messages of one client on one topic and QoS arrive in the order of their coming")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    for index in range(60):
        writer.send(raw.publish("a", b"%d" % index, index % 3, index + 1))
    for index in range(2, 60, 3):  # a server may deliver QoS 2 at PUBLISH or at PUBREL
        writer.send(raw.ack(PUBREL, index + 1))
    got = [await reader.message() for _ in range(60)]
    for qos in (0, 1, 2):
        own = [int(packet.payload) for packet in got if packet.qos == qos]
        assert own == list(range(qos, 60, 3))
