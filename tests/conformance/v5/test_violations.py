"""What a client must not send: the broker says why, as 4.13 asks, and closes the connection."""

from dataclasses import dataclass

import pytest

from tests.conformance.v5.steps import closes
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import PUBACK, PUBREL, Prop, packet, properties, text
from tests.fakes.raw_scene import Scene

MALFORMED, PROTOCOL, ALIAS, TOO_LARGE = 0x81, 0x82, 0x94, 0x95
SURROGATE = b"\xed\xa0\x80"


@dataclass(frozen=True)
class Wrong:
    """One packet that is wrong, the statement it breaks, and the reasons that answer it."""

    number: str
    what: str
    said: bytes
    codes: tuple[int, ...] = (MALFORMED,)


def published(*props: tuple[int, object]) -> bytes:
    return raw.publish("t", b"x", version=5, props=props)


def subscribed(pattern: str | bytes, options: int = 0, *props: tuple[int, object]) -> bytes:
    return raw.subscribe(1, (pattern, options), version=5, props=props)


def bare(first: int, *parts: bytes) -> bytes:
    """Return a packet whose properties stand in `parts`."""
    return packet(first, *parts)


def with_raw_properties(said: bytes, *, topic: bytes = b"t") -> bytes:
    return packet(0x30, text(topic), raw.varint(len(said)), said, b"x")


USER = bytes((Prop.USER,))
CONNECTED = [
    Wrong("1.5.4-1", "topic with a stray byte", raw.publish(b"\xff", version=5)),
    Wrong("1.5.4-1", "topic with a surrogate", raw.publish(SURROGATE, version=5)),
    Wrong("1.5.4-1", "filter with a stray byte", subscribed(b"\xff")),
    Wrong("1.5.4-1", "topic in overlong form", raw.publish(b"\xc0\xaf", version=5)),
    Wrong("1.5.4-2", "topic", raw.publish(b"a\0b", version=5)),
    Wrong("1.5.4-2", "filter", subscribed(b"a\0b")),
    Wrong("1.5.4-2", "content type", published((Prop.CONTENT_TYPE, b"\0"))),
    Wrong("1.5.5-1", "remaining length", b"\xc0\x80\x00"),
    Wrong("1.5.5-1", "remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01"),
    Wrong("1.5.5-1", "property length", bare(0x30, text("t"), b"\x80\x00", b"x")),
    Wrong(
        "1.5.5-1",
        "subscription identifier",
        bare(0x82, b"\0\1", b"\x03\x0b\x81\x00", text("t"), b"\0"),
    ),
    Wrong("1.5.7-1", "name", with_raw_properties(USER + text(b"\xff") + text("v"))),
    Wrong("1.5.7-1", "value", with_raw_properties(USER + text("n") + text(SURROGATE))),
    Wrong("1.5.7-1", "no value", with_raw_properties(USER + text("n"))),
    Wrong("2.1.3-1", "PINGREQ", b"\xc1\x00"),
    Wrong("2.1.3-1", "PUBACK", raw.ack(PUBACK, 1, flags=2)),
    Wrong("2.1.3-1", "a type that is reserved", b"\x00\x00"),
    Wrong("2.2.1-3", "PUBLISH", raw.publish("t", b"", 1, 0, version=5)),
    Wrong("2.2.1-3", "SUBSCRIBE", raw.subscribe(0, "t", version=5)),
    Wrong("2.2.1-3", "UNSUBSCRIBE", raw.unsubscribe(0, "t", version=5)),
    Wrong("2.2.2-1", "PUBLISH", bare(0x30, text("t"))),
    Wrong("2.2.2-1", "SUBSCRIBE", bare(0x82, b"\0\1")),
    Wrong("3.1.0-2", "twice", raw.connect("c", version=5), (PROTOCOL,)),
    Wrong("3.2.2-15", "more than was announced", b"\x30\xff\xff\xff\x7f", (TOO_LARGE,)),
    Wrong("3.3.1-2", "DUP at QoS 0", raw.publish("t", dup=True, version=5)),
    Wrong("3.3.1-4", "QoS 3", bare(0x36, text("t"), b"\0\1\0")),
    Wrong("3.3.2-1", "no topic", bare(0x30)),
    Wrong("3.3.2-1", "topic cut short", bare(0x30, b"\0\x09t")),
    Wrong("3.3.2-2", "#", raw.publish("a/#", version=5), (MALFORMED, PROTOCOL, 0x90)),
    Wrong("3.3.2-2", "+", raw.publish("+/a", version=5), (MALFORMED, PROTOCOL, 0x90)),
    Wrong("3.3.2-8", "alias 0", published((Prop.ALIAS, 0)), (ALIAS,)),
    Wrong("3.3.2-9", "alias 65535", published((Prop.ALIAS, 65_535)), (ALIAS,)),
    Wrong("3.3.2-13", "not UTF-8", published((Prop.RESPONSE_TOPIC, b"\xff"))),
    Wrong("3.3.2-14", "#", published((Prop.RESPONSE_TOPIC, "a/#")), (PROTOCOL,)),
    Wrong("3.3.2-14", "+", published((Prop.RESPONSE_TOPIC, "+")), (PROTOCOL,)),
    Wrong("3.3.2-19", "not UTF-8", published((Prop.CONTENT_TYPE, b"\xff"))),
    Wrong("3.3.4-6", "from a client", published((Prop.SUBSCRIPTION_ID, 1)), (PROTOCOL,)),
    Wrong("3.4.2-1", "no such reason", raw.ack(PUBACK, 1, 0x42), (PROTOCOL, MALFORMED)),
    Wrong("3.6.1-1", "flags 0", raw.ack(PUBREL, 1, flags=0)),
    Wrong("3.6.2-1", "no such reason", raw.ack(PUBREL, 1, 0x42), (PROTOCOL, MALFORMED)),
    Wrong("3.8.1-1", "flags 0", bare(0x80, b"\0\1\0", text("t"), b"\0")),
    Wrong("3.8.3-1", "not UTF-8", subscribed(SURROGATE)),
    Wrong("3.8.3-2", "no filter", raw.subscribe(1, version=5), (PROTOCOL,)),
    Wrong("3.8.3-2", "no options", bare(0x82, b"\0\1\0", text("t"))),
    Wrong("3.8.3-4", "no local", subscribed("$share/g/t", 4), (PROTOCOL,)),
    Wrong("3.8.3-5", "bit 6", subscribed("t", 0x40)),
    Wrong("3.8.3-5", "bit 7", subscribed("t", 0x80)),
    Wrong("3.10.1-1", "flags 0", bare(0xA0, b"\0\1\0", text("t"))),
    Wrong("3.10.3-1", "not UTF-8", raw.unsubscribe(1, b"\xff", version=5)),
    Wrong("3.10.3-2", "no filter", raw.unsubscribe(1, version=5), (PROTOCOL,)),
    Wrong("3.14.1-1", "flags 1", b"\xe1\x00"),
    Wrong("3.14.2-1", "no such reason", raw.disconnect(0x42), (PROTOCOL, MALFORMED)),
    Wrong("3.15.1-1", "flags 1", b"\xf1\x00"),
    Wrong("4.7.0-1", "+ in a topic", raw.publish("a/+/b", version=5), (MALFORMED, PROTOCOL, 0x90)),
    Wrong("4.7.3-1", "topic", raw.publish("", version=5), (MALFORMED, PROTOCOL)),
    Wrong("4.7.3-1", "filter", subscribed(""), (MALFORMED, PROTOCOL)),
    Wrong("4.7.3-2", "topic", raw.publish(b"\0", version=5)),
    Wrong("4.12.0-7", "AUTH without a method", raw.auth(), (PROTOCOL,)),
    Wrong(
        "4.12.0-7",
        "AUTH with a method after all",
        raw.auth(0x19, {Prop.AUTH_METHOD: "x"}),
        (PROTOCOL,),
    ),
    Wrong("4.13.1-1", "a property twice", published(*[(Prop.PAYLOAD_FORMAT, 0)] * 2), (PROTOCOL,)),
    Wrong("4.13.1-1", "a property of CONNECT", published((Prop.SESSION_EXPIRY, 1))),
    Wrong("4.13.1-1", "no such property", with_raw_properties(b"\x7f\x00")),
    Wrong("4.13.1-1", "properties too long", bare(0x30, text("t"), b"\x09\x01\x00")),
    Wrong("4.13.1-1", "payload format 2", published((Prop.PAYLOAD_FORMAT, 2)), (PROTOCOL,)),
    Wrong("4.13.1-1", "QoS 3 subscribed", subscribed("t", 3), (PROTOCOL, MALFORMED)),
    Wrong("4.13.1-1", "retain handling 3", subscribed("t", 0x30), (PROTOCOL,)),
    Wrong(
        "4.13.1-1",
        "subscription identifier 0",
        subscribed("t", 0, (Prop.SUBSCRIPTION_ID, 0)),
        (PROTOCOL,),
    ),
    Wrong(
        "4.13.1-1",
        "two subscription identifiers",
        subscribed("t", 0, (Prop.SUBSCRIPTION_ID, 1), (Prop.SUBSCRIPTION_ID, 2)),
        (PROTOCOL,),
    ),
    Wrong("4.13.1-1", "PINGREQ with a body", b"\xc0\x01x"),
    Wrong("4.13.1-1", "a packet that only servers send", b"\xd0\x00", (MALFORMED, PROTOCOL)),
    Wrong(
        "4.13.1-1",
        "a session that comes to last at DISCONNECT",
        raw.disconnect(0, props={Prop.SESSION_EXPIRY: 9}),
        (PROTOCOL,),
    ),
    Wrong(
        "4.13.1-1",
        "no topic yet for an alias",
        raw.publish("", version=5, props={0x23: 1}),
        (PROTOCOL,),
    ),
]


HEAD = text("MQTT") + b"\x05"


def asked(flags: int, *payload: bytes, props: raw.Properties = (), head: bytes = HEAD) -> bytes:
    return packet(0x10, head, bytes((flags,)), b"\0\0", properties(props), *payload)


ID, NAME, WORD = text("c"), text("admin"), text("secret")
WILL = (b"\0", text("t"), text("p"))
LOGIN = 0xC2
FIRST = [
    Wrong("3.1.2-3", "reserved flag", asked(LOGIN | 1, ID, NAME, WORD)),
    Wrong("3.1.2-9", "no will fields", asked(LOGIN | 4, ID, NAME, WORD)),
    Wrong("3.1.2-9", "no will properties", asked(LOGIN | 4, ID, *WILL[1:], NAME, WORD)),
    Wrong("3.1.2-11", "will QoS without will", asked(LOGIN | 8, ID, NAME, WORD)),
    Wrong("3.1.2-12", "will QoS 3", asked(LOGIN | 0x1C, ID, *WILL, NAME, WORD)),
    Wrong("3.1.2-13", "will retain without will", asked(LOGIN | 0x20, ID, NAME, WORD)),
    Wrong("3.1.2-16", "user name without flag", asked(0x02, ID, NAME)),
    Wrong("3.1.2-17", "flag without user name", asked(0x82, ID)),
    Wrong("3.1.2-18", "password without flag", asked(0x82, ID, NAME, WORD)),
    Wrong("3.1.2-19", "flag without password", asked(LOGIN, ID, NAME)),
    Wrong("3.1.3-1", "will after the login", asked(LOGIN | 4, ID, NAME, WORD, *WILL)),
    Wrong("3.1.3-3", "no client id", asked(0x02)),
    Wrong("3.1.3-4", "client id not UTF-8", asked(LOGIN, text(b"\xff"), NAME, WORD)),
    Wrong(
        "3.1.3-11", "will topic", asked(LOGIN | 4, ID, b"\0", text(b"\xff"), text("p"), NAME, WORD)
    ),
    Wrong("3.1.3-12", "user name", asked(LOGIN, ID, text(SURROGATE), WORD)),
    Wrong("3.1.4-1", "bytes left over", asked(LOGIN, ID, NAME, WORD, b"x")),
    Wrong(
        "3.1.4-1", "receive maximum 0", asked(LOGIN, ID, NAME, WORD, props={0x21: 0}), (PROTOCOL,)
    ),
    Wrong(
        "3.1.4-1", "packets of 0 bytes", asked(LOGIN, ID, NAME, WORD, props={0x27: 0}), (PROTOCOL,)
    ),
    Wrong(
        "3.1.4-1",
        "a property twice",
        asked(LOGIN, ID, NAME, WORD, props=[(0x11, 1), (0x11, 1)]),
        (PROTOCOL,),
    ),
    Wrong("3.1.4-1", "a will's property", asked(LOGIN, ID, NAME, WORD, props={0x18: 1})),
    Wrong(
        "3.1.4-1",
        "authentication data alone",
        asked(LOGIN, ID, NAME, WORD, props={0x16: b"x"}),
        (PROTOCOL,),
    ),
    Wrong("3.1.4-1", "a flag of 2", asked(LOGIN, ID, NAME, WORD, props={0x17: 2}), (PROTOCOL,)),
    Wrong(
        "3.1.2-2", "MQTT 6", asked(LOGIN, ID, NAME, WORD, head=text("MQTT") + b"\x06"), (0x84, 1)
    ),
]

SILENT = [
    Wrong("3.1.0-1", "PINGREQ first", raw.PING, ()),
    Wrong("3.1.0-1", "PUBLISH first", raw.publish("t", version=5), ()),
    Wrong("3.1.0-1", "SUBSCRIBE first", raw.subscribe(1, "t", version=5), ()),
    Wrong(
        "3.1.2-1", "another protocol", asked(LOGIN, ID, NAME, WORD, head=text("MQTX") + b"\x05"), ()
    ),
    Wrong("3.14.0-1", "DISCONNECT first", b"\xe0\x00", ()),
]

NUMBERS = {row.number for row in (*CONNECTED, *FIRST, *SILENT)}


def named(rows: list[Wrong]) -> list[object]:
    return [pytest.param(row, id=f"MQTT-{row.number}[{row.what}]") for row in rows]


@pytest.mark.parametrize("wrong", named(CONNECTED))
async def test_what_a_client_must_not_send_closes_its_connection(
    wrong: Wrong, scene5: Scene
) -> None:
    client = await scene5.client()
    client.send(wrong.said, raw.PING)
    await closes(client, *wrong.codes)


@pytest.mark.parametrize("wrong", named(FIRST))
async def test_a_wrong_connect_is_refused_with_a_reason(wrong: Wrong, scene5: Scene) -> None:
    client = await scene5.socket()
    client.send(wrong.said)
    await closes(client, *wrong.codes)


@pytest.mark.parametrize("wrong", named(SILENT))
async def test_what_does_not_begin_with_connect_is_not_answered(
    wrong: Wrong, scene5: Scene
) -> None:
    client = await scene5.socket()
    client.send(wrong.said)
    await client.expect_closed()
