"""MQTT 3.1.1, 1.5 to 3.2: strings, fixed headers, packet ids, CONNECT and CONNACK."""

from tests.conformance.statements import Statements, expect_closing
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import CONNACK, PINGRESP, PUBLISH, RawWill
from tests.fakes.raw_scene import Scene

table = Statements()

ILL_FORMED = (b"a\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80")
"""Bytes that are no UTF-8: stray, cut short, overlong, both surrogates, beyond U+10FFFF."""


def named_everywhere(name: bytes) -> list[bytes]:
    """Return one packet for each place where a client writes a string after CONNECT."""
    return [raw.publish(name), raw.subscribe(1, name), raw.unsubscribe(1, name)]


table.closes(
    "1.5.3-1",
    "a packet with ill-formed UTF-8, surrogates included, closes the connection",
    *(packet for name in ILL_FORMED for packet in named_everywhere(name)),
)
table.closes(
    "1.5.3-2",
    "a packet with U+0000 in a string closes the connection",
    *named_everywhere(b"a\0b"),
)


@table("1.5.3-3", "EF BB BF is a character like others: neither skipped nor stripped")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("\ufefftop/\ufeff")
    writer = await scene.client("writer")
    await writer.publish("top/")
    await writer.publish("\ufefftop/\ufeff", b"x")
    await reader.expect(PUBLISH, topic="\ufefftop/\ufeff", payload=b"x")


FLAGS = {
    kind: right
    for right, kinds in {0: (0x40, 0x50, 0x70, 0xC0, 0xE0), 2: (0x60, 0x80, 0xA0)}.items()
    for kind in kinds
}


def _with_flags(first: int) -> bytes:
    body = {
        0x80: b"\0\1\0\1a\0",
        0xA0: b"\0\1\0\1a",
        0xC0: b"",
        0xE0: b"",
    }.get(first & 0xF0, b"\0\1")
    return raw.packet(first, body)


WRONG_FLAGS = [
    _with_flags(kind | flags)
    for kind, right in FLAGS.items()
    for flags in range(16)
    if flags != right
]
table.closes("2.2.2-1", "reserved flag bits have the value of table 2.2", *WRONG_FLAGS)
table.closes(
    "2.2.2-2",
    "a CONNECT with flags in its first byte closes the connection",
    *(bytes((0x10 | flags,)) + raw.connect()[1:] for flags in range(1, 16)),
    after_connect=False,
)
table.closes(
    "2.3.1-1",
    "packet id 0 in SUBSCRIBE, UNSUBSCRIBE or PUBLISH above QoS 0 closes the connection",
    raw.subscribe(0, "a"),
    raw.unsubscribe(0, "a"),
    raw.publish("a", b"", 1, 0),
    raw.publish("a", b"", 2, 0),
)


@table("2.3.1-4", "the server gives each QoS 1 or 2 PUBLISH an id that is not in use")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=2)
    writer = await scene.client("writer")
    for index in range(40):
        await writer.publish("a", b"", 1 + index % 2)
    numbers = [(await reader.expect(PUBLISH)).number for _ in range(40)]
    assert len(set(numbers)) == 40
    assert 0 not in numbers


@table("2.3.1-5", "a QoS 0 PUBLISH has no packet id")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("a", qos=2)
    await (await scene.client("writer")).publish("a", b"\0\7payload")
    await reader.expect(PUBLISH, payload=b"\0\7payload", qos=0)


@table("2.3.1-6", "PUBACK, PUBREC and PUBREL carry the id of their PUBLISH")
async def _(scene: Scene) -> None:
    client = await scene.client()
    await client.subscribe("b", qos=2)
    for number in (1, 0x1234, 0xFFFF):  # `publish` and `message` insist on the right id
        await client.publish("a", b"", 1, number=number)
        await client.publish("a", b"", 2, number=number)
    await client.publish("b", b"", 2, number=0xABCD)
    await client.message(topic="b", qos=2)


@table("2.3.1-7", "SUBACK and UNSUBACK carry the id of their request")
async def _(scene: Scene) -> None:
    client = await scene.client()
    for number in (1, 0x8001, 0xFFFF):
        client.send(raw.subscribe(number, "a"), raw.unsubscribe(number, "a"))
        await client.expect(raw.SUBACK, number=number)
        await client.expect(raw.UNSUBACK, number=number)


table.closes(
    "3.1.0-1",
    "the first packet is a CONNECT; anything else closes the connection",
    raw.PING,
    raw.publish("a"),
    raw.publish("a", b"", 1),
    raw.subscribe(1, "a"),
    raw.unsubscribe(1, "a"),
    raw.disconnect(),
    raw.ack(raw.PUBREL, 1),
    after_connect=False,
)
table.closes("3.1.0-2", "a second CONNECT is a protocol violation", raw.connect("again"))
table.closes(
    "3.1.2-1",
    "another protocol name is not served as MQTT",
    raw.connect(name="MQTTS"),
    raw.connect(name="mqtt"),
    raw.connect(name=""),
    raw.connect(name="HTTP", level=3),
    after_connect=False,
)


@table("3.1.2-2", "a protocol level that is not spoken is answered with code 1, then closed")
async def _(scene: Scene) -> None:
    for level in (0, 1, 2, 3, 0x83, 0x84):  # from 5 on, MQTT 5 says what happens
        client = await scene.socket()
        client.send(raw.connect(level=level))
        await client.expect(CONNACK, code=1, is_present=False)
        await client.expect_closed()


table.closes(
    "3.1.2-3",
    "the reserved connect flag is 0",
    raw.connect(flip=1),
    raw.connect(clean=False, flip=1),
    after_connect=False,
)


@table("3.1.2-4", "clean session 0 goes on with the session there is, or begins one that is kept")
async def _(scene: Scene) -> None:
    first = await scene.client("kept", clean=False)
    assert await first.subscribe("a", qos=1) == (1,)
    await first.disconnect()
    again = await scene.client("kept", clean=False)
    assert again.connack is not None
    assert again.connack.is_present
    await (await scene.client("writer")).publish("a", b"x", 1)
    await again.message(topic="a", payload=b"x", qos=1)


@table("3.1.2-5", "QoS 1 and 2 messages for an absent kept session wait for it")
async def _(scene: Scene) -> None:
    first = await scene.client("kept", clean=False)
    await first.subscribe("a", qos=2)
    await first.disconnect()
    writer = await scene.client("writer")
    await writer.publish("a", b"one", 1)
    await writer.publish("a", b"two", 2)
    again = await scene.client("kept", clean=False)
    assert await again.messages(2) == [b"one", b"two"]


@table("3.1.2-6", "clean session 1 drops the earlier session, and nothing of it comes back")
async def _(scene: Scene) -> None:
    first = await scene.client("kept", clean=False)
    await first.subscribe("a", qos=1)
    await first.disconnect()
    writer = await scene.client("writer")
    await writer.publish("a", b"queued", 1)
    clean = await scene.client("kept", clean=True)
    await writer.publish("a", b"live", 1)
    await clean.nothing()
    await clean.disconnect()
    later = await scene.client("kept", clean=False)
    assert later.connack is not None
    assert not later.connack.is_present
    await later.nothing()


@table("3.1.2-7", "retained messages outlive the session that published them")
async def _(scene: Scene) -> None:
    for clean in (True, False):
        writer = await scene.client("writer", clean=clean)
        await writer.publish(f"a/{clean}", b"stays", 1, retain=True)
        await writer.disconnect()
    await (await scene.client("writer", clean=True)).disconnect()
    reader = await scene.client("reader")
    await reader.subscribe("a/+")
    assert {(await reader.message(retain=True)).topic for _ in range(2)} == {"a/True", "a/False"}


@table("3.1.2-8", "the will is published when the connection ends in any way but DISCONNECT")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("will", qos=1)
    cut = await scene.client("cut", will=RawWill("will", b"cut"))
    await scene.cut(cut)
    await reader.message(topic="will", payload=b"cut")
    wrong = await scene.client("wrong", will=RawWill("will", b"wrong"))
    wrong.send(b"\x00\x00")
    await wrong.expect_closed()
    await reader.message(topic="will", payload=b"wrong")
    silent = await scene.client("silent", keep_alive=5, will=RawWill("will", b"silent"))
    scene.pass_s(1)
    scene.pass_s(8)
    await silent.expect_closed()
    await reader.message(topic="will", payload=b"silent")


@table("3.1.2-9", "a will's QoS and retain flags are used, its topic and message must be there")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("will", qos=2)
    for qos in (0, 1, 2):
        client = await scene.client("gone", will=RawWill("will", b"%d" % qos, qos, retain=True))
        await scene.cut(client)
        await reader.message(payload=b"%d" % qos, qos=qos)
    later = await scene.client("later")
    await later.subscribe("will", qos=2)
    await later.message(payload=b"2", qos=2, retain=True)
    await expect_closing(scene, raw.connect(user=None, flip=0x04), after_connect=False)


@table("3.1.2-10", "a will is published once, and forgotten with DISCONNECT")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("will")
    client = await scene.client("kept", clean=False, will=RawWill("will", b"once"))
    await scene.cut(client)
    await reader.message(payload=b"once")
    client = await scene.client("kept", clean=False, will=RawWill("will", b"never"))
    await client.disconnect()
    client = await scene.client("kept", clean=False)
    await scene.cut(client)
    await reader.nothing()


table.closes(
    "3.1.2-11",
    "without the will flag there is neither will QoS, will retain, nor a will in the payload",
    raw.connect(user=None, flip=0x08),
    raw.connect(user=None, flip=0x20),
    raw.connect(user=None, will=RawWill("w"), flip=0x04),
    after_connect=False,
)


@table("3.1.2-12", "without the will flag nothing is published at the end")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("#")
    client = await scene.client("other", will=RawWill("will"))
    await client.disconnect()
    client = await scene.client("other")
    await scene.cut(client)
    await reader.nothing()


table.closes(
    "3.1.2-13",
    "without the will flag the will QoS is 0",
    *(raw.connect(flip=qos << 3) for qos in (1, 2, 3)),
    after_connect=False,
)
table.closes(
    "3.1.2-14",
    "a will QoS of 3 is forbidden",
    raw.connect(will=RawWill("w", b"", 3)),
    raw.connect(will=RawWill("w", b"", 3, retain=True)),
    after_connect=False,
)
table.closes(
    "3.1.2-15",
    "without the will flag will retain is 0",
    raw.connect(flip=0x20),
    after_connect=False,
)


@table("3.1.2-16", "without will retain the will is not retained")
async def _(scene: Scene) -> None:
    client = await scene.client("gone", will=RawWill("will", b"x", 1))
    await scene.cut(client)
    reader = await scene.client("reader")
    await reader.subscribe("will")
    await reader.nothing()


@table("3.1.2-17", "with will retain the will is retained")
async def _(scene: Scene) -> None:
    client = await scene.client("gone", will=RawWill("will", b"x", 1, retain=True))
    await scene.cut(client)
    reader = await scene.client("reader")
    await reader.subscribe("will", qos=1)
    await reader.message(topic="will", payload=b"x", qos=1, retain=True)


table.closes(
    "3.1.2-18",
    "without the user name flag there is no user name",
    raw.connect(password=None, flip=0x80),
    after_connect=False,
)
table.closes(
    "3.1.2-19",
    "with the user name flag there is one",
    raw.connect(user=None, flip=0x80),
    after_connect=False,
)
table.closes(
    "3.1.2-20",
    "without the password flag there is no password",
    raw.connect(flip=0x40),
    after_connect=False,
)
table.closes(
    "3.1.2-21",
    "with the password flag there is one",
    raw.connect(password=None, flip=0x40),
    after_connect=False,
)
table.closes(
    "3.1.2-22",
    "there is no password flag without the user name flag",
    raw.connect(user=None, flip=0x40),
    raw.packet(0x10, raw.text("MQTT"), b"\x04\x42\0\0", raw.text("c"), raw.text("secret")),
    after_connect=False,
)


@table("3.1.2-24", "silence of one and a half times the keep-alive ends the connection, no sooner")
async def _(scene: Scene) -> None:
    client = await scene.client(keep_alive=10)
    scene.pass_s(1)  # a look that finds it has just spoken
    scene.pass_s(14)
    await client.nothing()
    scene.pass_s(1)
    scene.pass_s(16)
    await client.expect_closed()
    for_ever = await scene.client(keep_alive=0)
    scene.pass_s(1)
    scene.pass_s(100_000)
    await for_ever.nothing()


@table("3.1.3-1", "the order is client id, will topic, will message, user name, password")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("topic")
    client = await scene.client("id", will=RawWill("topic", b"message"), user="admin")
    await scene.cut(client)
    await reader.message(topic="topic", payload=b"message")


@table("3.1.3-2", "the client id names the state")
async def _(scene: Scene) -> None:
    for client_id in ("one", "two"):
        client = await scene.client(client_id, clean=False)
        await client.subscribe(client_id, qos=1)
        await client.disconnect()
    writer = await scene.client("writer")
    await writer.publish("one", b"", 1)
    await writer.publish("two", b"", 1)
    for client_id in ("two", "one"):
        client = await scene.client(client_id, clean=False)
        await client.message(topic=client_id)
        await client.nothing()


table.closes(
    "3.1.3-3",
    "the client id is there, first",
    raw.packet(0x10, raw.text("MQTT"), b"\x04\x02\0\0"),
    raw.packet(0x10, raw.text("MQTT"), b"\x04\x02\0\0", b"\0\7abc"),
    after_connect=False,
)
table.closes(
    "3.1.3-4",
    "the client id is UTF-8",
    *(raw.connect(name) for name in (*ILL_FORMED, b"a\0")),
    after_connect=False,
)


@table("3.1.3-5", "ids of 1 to 23 letters and digits are allowed")
async def _(scene: Scene) -> None:
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for client_id in ("a", *(letters[at : at + 23] for at in (0, 23, 39))):
        await (await scene.client(client_id)).nothing()


@table("3.1.3-6", "an empty id with clean session gets one of its own")
async def _(scene: Scene) -> None:
    one, two = await scene.client(""), await scene.client("")
    await one.subscribe("a")
    await two.publish("a", b"x")
    await one.message(payload=b"x")
    await two.nothing()


@table("3.1.3-8", "an empty id without clean session is answered with code 2, then closed")
async def _(scene: Scene) -> None:
    client = await scene.socket()
    client.send(raw.connect("", clean=False))
    await client.expect(CONNACK, code=2, is_present=False)
    await client.expect_closed()


@table("3.1.3-9", "an id that is refused is answered with code 2, then closed")
async def _(scene: Scene) -> None:
    for version, clean in ((4, False), (3, True)):  # MQTT 3.1 knows no empty id at all
        client = await scene.socket(version)
        client.send(raw.connect("", version=version, clean=clean))
        await client.expect(CONNACK, code=2, is_present=False)
        await client.expect_closed()


table.closes(
    "3.1.3-10",
    "the will topic is UTF-8",
    *(raw.connect(will=RawWill(name)) for name in (*ILL_FORMED, b"a\0")),
    after_connect=False,
)
table.closes(
    "3.1.3-11",
    "the user name is UTF-8",
    *(raw.connect(user=name) for name in (*ILL_FORMED, b"a\0")),
    after_connect=False,
)
table.closes(
    "3.1.4-1",
    "a CONNECT that breaks section 3.1 is closed without a CONNACK",
    raw.packet(0x10, raw.connect()[2:-1]),
    raw.packet(0x10),
    raw.packet(0x10, raw.text("MQTT")),
    raw.packet(0x10, raw.text("MQTT"), b"\x04"),
    raw.packet(0x10, raw.text("MQTT"), b"\x04\x02"),
    raw.packet(0x10, raw.text("MQTT"), b"\x04\x02\0"),
    raw.packet(0x10, raw.connect(user=None)[2:], b"left over"),
    raw.connect(will=RawWill("a/#")),
    raw.connect(will=RawWill("")),
    after_connect=False,
)


@table("3.1.4-2", "a client that is connected already is disconnected in favour of the new one")
async def _(scene: Scene) -> None:
    for clean in (True, False):
        old = await scene.client("same", clean=clean)
        new = await scene.client("same", clean=clean)
        await old.expect_closed()
        await new.nothing()
        await new.disconnect()


@table("3.1.4-3", "an accepted CONNECT treats clean session as 3.1.2.4 says")
async def _(scene: Scene) -> None:
    present = []
    for clean in (False, False, True, False, False):
        client = await scene.client("same", clean=clean)
        assert client.connack is not None
        present.append(client.connack.is_present)
        await client.disconnect()
    assert present == [False, True, False, False, True]


@table("3.1.4-4", "an accepted CONNECT is answered with code 0")
async def _(scene: Scene) -> None:
    client = await scene.socket()
    client.send(raw.connect())
    await client.expect(CONNACK, code=0, is_present=False)
    await client.nothing()


@table("3.1.4-5", "nothing after a refused CONNECT is handled")
async def _(scene: Scene) -> None:
    reader = await scene.client("reader")
    await reader.subscribe("#")
    client = await scene.socket()
    client.send(raw.connect(password=b"wrong"), raw.publish("a", b"x", retain=True), raw.PING)
    found = await client.expect(CONNACK)
    assert found.code in {4, 5}
    await client.expect_closed()
    await reader.nothing()


@table("3.2.0-1", "the first packet to a client is a CONNACK")
async def _(scene: Scene) -> None:
    first = await scene.client("kept", clean=False)
    await first.subscribe("a", qos=1)
    await first.disconnect()
    await (await scene.client("writer")).publish("a", b"queued", 1)
    client = await scene.socket()
    client.send(raw.connect("kept", clean=False), raw.PING, raw.subscribe(1, "a"))
    await client.expect(CONNACK)
    await client.take(PINGRESP)


@table("3.2.2-1", "clean session 1 is answered with session present 0")
async def _(scene: Scene) -> None:
    await (await scene.client("kept", clean=False)).disconnect()
    client = await scene.client("kept", clean=True)
    assert client.connack is not None
    assert not client.connack.is_present


@table("3.2.2-2", "session present is 1 when there is a session and clean session was 0")
async def _(scene: Scene) -> None:
    first = await scene.client("kept", clean=False)
    await scene.cut(first)
    client = await scene.client("kept", clean=False)
    assert client.connack is not None
    assert client.connack.is_present


@table("3.2.2-3", "session present is 0 when there is no session")
async def _(scene: Scene) -> None:
    client = await scene.client("new", clean=False)
    assert client.connack is not None
    assert not client.connack.is_present


@table("3.2.2-4", "a refusal has session present 0")
async def _(scene: Scene) -> None:
    await (await scene.client("kept", clean=False)).disconnect()
    client = await scene.socket()
    client.send(raw.connect("kept", clean=False, password=b"wrong"))
    await client.expect(CONNACK, is_present=False)


@table("3.2.2-5", "a refusal is followed by the end of the connection")
async def _(scene: Scene) -> None:
    for wrong in ({"password": b"wrong"}, {"user": None}, {"user": "nobody"}, {"level": 2}):
        client = await scene.socket()
        client.send(raw.connect("c", **wrong))
        assert (await client.expect(CONNACK)).code
        await client.expect_closed()
