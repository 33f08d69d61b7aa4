"""MQTT 3.1, 3.1.1 and 5.0 packets once more, written from the standards alone: what tests say and what they read.

Nothing here comes from `gateway.mqtt`, so that a mistake in one is not hidden by the same mistake in the other.
The reader is strict: a packet that a server must not send fails the test that receives it.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)
NAMES = (
    *("reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP"),
    *("SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP"),
    *("DISCONNECT", "AUTH"),
)
NO_LOCAL, AS_PUBLISHED = 4, 8
SEND_IF_NEW, NEVER_SEND = 0x10, 0x20  # retain handling 1 and 2


class Prop(IntEnum):
    """Property identifiers of MQTT 5 (2.2.2.2)."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTH_METHOD = 0x15
    AUTH_DATA = 0x16
    PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    ALIAS_MAXIMUM = 0x22
    ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER = 0x26
    MAXIMUM_PACKET = 0x27
    WILDCARD_AVAILABLE = 0x28
    IDENTIFIERS_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


KINDS = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), "byte"),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), "two"),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), "four"),
    **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), "text"),
    **dict.fromkeys((0x09, 0x16), "binary"),
    0x0B: "varint",
    0x26: "pair",
}
EXPLAINED = {Prop.REASON_STRING, Prop.USER}
FROM_SERVER: dict[int, set[int]] = {
    CONNACK: EXPLAINED
    | {0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2A},
    PUBLISH: {0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26},
    **dict.fromkeys((PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK), EXPLAINED),
    DISCONNECT: EXPLAINED | {0x1C},  # a server never sends a session expiry there [MQTT-3.14.2-2]
    AUTH: EXPLAINED | {0x15, 0x16},
}
"""Packet -> the properties that a server may put in it (table 2-4)."""

_TAKEN = {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
CODES_5: dict[int, set[int]] = {
    CONNACK: {0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
    PUBACK: _TAKEN,
    PUBREC: _TAKEN,
    PUBREL: {0x00, 0x92},
    PUBCOMP: {0x00, 0x92},
    SUBACK: {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    DISCONNECT: {
        0x00,
        *range(0x80, 0x84),
        0x87,
        0x89,
        0x8B,
        *range(0x8C, 0x91),
        *range(0x93, 0xA3),
    },
    AUTH: {0x00, 0x18},
}
CODES_3: dict[int, set[int]] = {CONNACK: set(range(6)), SUBACK: {0, 1, 2, 0x80}}

Properties = Mapping[int, Any] | Iterable[tuple[int, Any]]


def text(value: str | bytes) -> bytes:
    """Return a string or binary field with its two bytes of length."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def varint(value: int) -> bytes:
    """Return a variable byte integer."""
    out = bytearray()
    while True:
        value, digit = divmod(value, 128)
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packet(first: int, *parts: bytes) -> bytes:
    """Return a packet: any first byte, the right length, any body."""
    body = b"".join(parts)
    return bytes((first,)) + varint(len(body)) + body


_WRITE = {
    "byte": lambda value: struct.pack("!B", value),
    "two": lambda value: struct.pack("!H", value),
    "four": lambda value: struct.pack("!I", value),
    "text": text,
    "binary": text,
    "varint": varint,
    "pair": lambda value: text(value[0]) + text(value[1]),
}


def properties(given: Properties = ()) -> bytes:
    """Return properties with their length; pairs instead of a mapping may repeat an identifier."""
    pairs = given.items() if isinstance(given, Mapping) else given
    out = bytearray()
    for name, value in pairs:
        for one in value if isinstance(value, list) else [value]:
            out += varint(name) + _WRITE[KINDS[name]](one)
    return varint(len(out)) + bytes(out)


def _section(version: int, given: Properties) -> bytes:
    return properties(given) if version == 5 else b""


@dataclass(frozen=True)
class RawWill:
    """The will of a CONNECT."""

    topic: str | bytes
    payload: bytes = b"gone"
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


def connect(
    client_id: str | bytes = "c",
    *,
    version: int = 4,
    user: str | bytes | None = "admin",
    password: bytes | None = b"secret",
    clean: bool = True,
    keep_alive: int = 0,
    will: RawWill | None = None,
    props: Properties = (),
    name: str | None = None,
    level: int | None = None,
    flip: int = 0,
) -> bytes:
    """Return a CONNECT; `name` and `level` override the dialect, `flip` are connect flags to turn over."""
    flags = (2 if clean else 0) | (0x80 if user is not None else 0)
    parts = [text(client_id)]
    if will is not None:
        flags |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
        parts += [_section(version, will.properties), text(will.topic), text(will.payload)]
    if user is not None:
        parts.append(text(user))
        if password is not None:
            flags |= 0x40
            parts.append(text(password))
    head = text(name if name is not None else "MQIsdp" if version == 3 else "MQTT")
    head += bytes((version if level is None else level, flags ^ flip)) + struct.pack(
        "!H", keep_alive
    )
    return packet(0x10, head, _section(version, props), *parts)


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    qos: int = 0,
    number: int = 1,
    *,
    version: int = 4,
    retain: bool = False,
    dup: bool = False,
    props: Properties = (),
) -> bytes:
    """Return a PUBLISH; its packet id only when QoS is not 0."""
    ident = struct.pack("!H", number) if qos else b""
    first = 0x30 | dup << 3 | qos << 1 | retain
    return packet(first, text(topic), ident, _section(version, props), payload)


Filter = str | bytes | tuple[str | bytes, int]


def subscribe(
    number: int, *filters: Filter, qos: int = 0, version: int = 4, props: Properties = ()
) -> bytes:
    """Return a SUBSCRIBE; a filter may bring its own options byte."""
    pairs = [one if isinstance(one, tuple) else (one, qos) for one in filters]
    wanted = [part for name, options in pairs for part in (text(name), bytes((options,)))]
    return packet(0x82, struct.pack("!H", number), _section(version, props), *wanted)


def unsubscribe(
    number: int, *filters: str | bytes, version: int = 4, props: Properties = ()
) -> bytes:
    """Return an UNSUBSCRIBE."""
    return packet(
        0xA2, struct.pack("!H", number), _section(version, props), *(text(one) for one in filters)
    )


def ack(
    kind: int,
    number: int,
    code: int | None = None,
    *,
    props: Properties | None = None,
    flags: int | None = None,
) -> bytes:
    """Return PUBACK, PUBREC, PUBREL or PUBCOMP; a reason code and properties only when given (MQTT 5)."""
    parts = [struct.pack("!H", number)]
    if code is not None or props is not None:
        parts.append(bytes((code or 0,)))
    if props is not None:
        parts.append(properties(props))
    bits = (2 if kind == PUBREL else 0) if flags is None else flags
    return packet(kind << 4 | bits, *parts)


PING = b"\xc0\x00"


def disconnect(code: int | None = None, *, props: Properties | None = None) -> bytes:
    """Return a DISCONNECT; a reason code and properties only when given (MQTT 5)."""
    parts = [] if code is None and props is None else [bytes((code or 0,))]
    return packet(0xE0, *parts, *([] if props is None else [properties(props)]))


def auth(code: int = 0x18, props: Properties = ()) -> bytes:
    """Return an AUTH (MQTT 5)."""
    return packet(0xF0, bytes((code,)), properties(props))
