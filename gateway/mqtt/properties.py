"""MQTT 5 properties: what each is, where it may stand, how it is read and written (MQTT 5.0, 2.2.2).

An identifier that its packet may not hold is malformed (2.2.2.2); one that stands there twice, or whose value is
out of range, is a protocol error.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.mqtt.reasons import MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID, violation
from gateway.mqtt.wire import (
    LARGEST_VARIABLE,
    binary,
    four_bytes,
    length,
    one_byte,
    string,
    two_bytes,
    variable,
    with_length,
)

PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE = 0x01, 0x02, 0x03
RESPONSE_TOPIC, CORRELATION_DATA, SUBSCRIPTION_IDENTIFIER = 0x08, 0x09, 0x0B
SESSION_EXPIRY, ASSIGNED_CLIENT_ID, SERVER_KEEP_ALIVE = 0x11, 0x12, 0x13
AUTHENTICATION_METHOD, AUTHENTICATION_DATA = 0x15, 0x16
REQUEST_PROBLEM_INFORMATION, WILL_DELAY, REQUEST_RESPONSE_INFORMATION = 0x17, 0x18, 0x19
RESPONSE_INFORMATION, SERVER_REFERENCE, REASON_STRING = 0x1A, 0x1C, 0x1F
RECEIVE_MAXIMUM, TOPIC_ALIAS_MAXIMUM, TOPIC_ALIAS = 0x21, 0x22, 0x23
MAXIMUM_QOS, RETAIN_AVAILABLE, USER_PROPERTY, MAXIMUM_PACKET_SIZE = 0x24, 0x25, 0x26, 0x27
WILDCARDS_AVAILABLE, IDENTIFIERS_AVAILABLE, SHARED_AVAILABLE = 0x28, 0x29, 0x2A

Properties = dict[int, Any]
"""Identifier -> int, str or bytes; USER_PROPERTY: list[tuple[str, str]]; SUBSCRIPTION_IDENTIFIER: list[int]."""

_CONTENT = {PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA}

IN_CONNECT = frozenset(
    {
        SESSION_EXPIRY,
        RECEIVE_MAXIMUM,
        MAXIMUM_PACKET_SIZE,
        TOPIC_ALIAS_MAXIMUM,
        REQUEST_RESPONSE_INFORMATION,
        REQUEST_PROBLEM_INFORMATION,
        USER_PROPERTY,
        AUTHENTICATION_METHOD,
        AUTHENTICATION_DATA,
    }
)
IN_WILL = frozenset({WILL_DELAY, USER_PROPERTY} | _CONTENT)
IN_CONNACK = frozenset(
    {
        SESSION_EXPIRY,
        ASSIGNED_CLIENT_ID,
        SERVER_KEEP_ALIVE,
        AUTHENTICATION_METHOD,
        AUTHENTICATION_DATA,
        RESPONSE_INFORMATION,
        SERVER_REFERENCE,
        REASON_STRING,
        RECEIVE_MAXIMUM,
        TOPIC_ALIAS_MAXIMUM,
        MAXIMUM_QOS,
        RETAIN_AVAILABLE,
        USER_PROPERTY,
        MAXIMUM_PACKET_SIZE,
        WILDCARDS_AVAILABLE,
        IDENTIFIERS_AVAILABLE,
        SHARED_AVAILABLE,
    }
)
IN_PUBLISH = frozenset({TOPIC_ALIAS, USER_PROPERTY} | _CONTENT)
"""From a client; the server's may also hold SUBSCRIPTION_IDENTIFIER (`IN_DELIVERY`)."""
IN_DELIVERY = IN_PUBLISH | {SUBSCRIPTION_IDENTIFIER}
IN_ACK = frozenset({REASON_STRING, USER_PROPERTY})
"""PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK."""
IN_SUBSCRIBE = frozenset({SUBSCRIPTION_IDENTIFIER, USER_PROPERTY})
IN_UNSUBSCRIBE = frozenset({USER_PROPERTY})
IN_LEAVE = frozenset({SESSION_EXPIRY, REASON_STRING, USER_PROPERTY})
"""A client's DISCONNECT."""
IN_DISMISSAL = frozenset({SERVER_REFERENCE, REASON_STRING, USER_PROPERTY})
"""A server's DISCONNECT, which must not hold a session expiry [MQTT-3.14.2-2]."""
IN_AUTH = frozenset({AUTHENTICATION_METHOD, AUTHENTICATION_DATA, REASON_STRING, USER_PROPERTY})


def _pair(data: bytes, at: int, end: int) -> tuple[tuple[str, str], int]:
    name, at = string(data, at, end)
    value, at = string(data, at, end)
    return (name, value), at


def _response_topic(data: bytes, at: int, end: int) -> tuple[str, int]:
    topic, at = string(data, at, end)
    if not topic or "#" in topic or "+" in topic:  # [MQTT-3.3.2-14]
        raise violation("a response topic that is empty or has a wildcard", PROTOCOL_ERROR)
    return topic, at


class _Type(NamedTuple):
    """How a value is read and written; integers also have a range."""

    read: Callable[[bytes, int, int], tuple[Any, int]]
    write: Callable[[Any], bytes]
    least: int = 0
    most: int = 0  # 0: no range is checked
    out_of_range: int = PROTOCOL_ERROR


def _integer(size: int) -> Callable[[int], bytes]:
    return lambda value: value.to_bytes(size, "big")


_FLAG = _Type(one_byte, _integer(1), 0, 1)
_TWO = _Type(two_bytes, _integer(2))
_FOUR = _Type(four_bytes, _integer(4))
_TEXT = _Type(string, lambda value: with_length(value.encode()))
_BINARY = _Type(binary, with_length)

_TYPES = {
    PAYLOAD_FORMAT: _FLAG,
    MESSAGE_EXPIRY: _FOUR,
    CONTENT_TYPE: _TEXT,
    RESPONSE_TOPIC: _TEXT._replace(read=_response_topic),
    CORRELATION_DATA: _BINARY,
    SUBSCRIPTION_IDENTIFIER: _Type(variable, length, 1, LARGEST_VARIABLE),
    SESSION_EXPIRY: _FOUR,
    ASSIGNED_CLIENT_ID: _TEXT,
    SERVER_KEEP_ALIVE: _TWO,
    AUTHENTICATION_METHOD: _TEXT,
    AUTHENTICATION_DATA: _BINARY,
    REQUEST_PROBLEM_INFORMATION: _FLAG,
    WILL_DELAY: _FOUR,
    REQUEST_RESPONSE_INFORMATION: _FLAG,
    RESPONSE_INFORMATION: _TEXT,
    SERVER_REFERENCE: _TEXT,
    REASON_STRING: _TEXT,
    RECEIVE_MAXIMUM: _TWO._replace(least=1, most=0xFFFF),
    TOPIC_ALIAS_MAXIMUM: _TWO,
    TOPIC_ALIAS: _TWO._replace(least=1, most=0xFFFF, out_of_range=TOPIC_ALIAS_INVALID),
    MAXIMUM_QOS: _FLAG,
    RETAIN_AVAILABLE: _FLAG,
    USER_PROPERTY: _Type(_pair, lambda pair: b"".join(with_length(one.encode()) for one in pair)),
    MAXIMUM_PACKET_SIZE: _FOUR._replace(least=1, most=0xFFFF_FFFF),
    WILDCARDS_AVAILABLE: _FLAG,
    IDENTIFIERS_AVAILABLE: _FLAG,
    SHARED_AVAILABLE: _FLAG,
}
_REPEATED = {USER_PROPERTY, SUBSCRIPTION_IDENTIFIER}


def parse(data: bytes, at: int, end: int, allowed: frozenset[int]) -> tuple[Properties, int]:
    """Read the properties of a packet and their length; return them and where they end.

    Raises ProtocolViolation. A SUBSCRIBE that gives two identifiers is its own reader's to refuse.
    """
    if at < end and not data[at]:
        return {}, at + 1
    at, stop = _extent(data, at, end)
    found: Properties = {}
    while at < stop:
        at = _read(data, at, stop, allowed, found)
    return found, stop


def _extent(data: bytes, at: int, end: int) -> tuple[int, int]:
    size, at = variable(data, at, end)
    if at + size > end:
        raise violation("properties longer than their packet")
    return at, at + size


def _read(data: bytes, at: int, stop: int, allowed: frozenset[int], found: Properties) -> int:
    """Read one property into `found`; return where the next begins.

    Identifiers are variable byte integers by the letter, and none above 0x2A exists: one byte tells all.
    """
    name = data[at]
    if name not in allowed:
        raise violation(f"a property {name:#04x} in a packet that has none such", MALFORMED_PACKET)
    kind = _TYPES[name]
    value, at = kind.read(data, at + 1, stop)
    if kind.most and not kind.least <= value <= kind.most:
        raise violation(f"a property {name:#04x} of {value}", kind.out_of_range)
    if name in _REPEATED:
        found.setdefault(name, []).append(value)
    elif name in found:
        raise violation(f"a property {name:#04x} twice", PROTOCOL_ERROR)
    else:
        found[name] = value
    return at


def encode(properties: Properties) -> bytes:
    """Return properties as a packet holds them, after their length."""
    raw = encode_bare(properties)
    return length(len(raw)) + raw


def encode_bare(properties: Properties) -> bytes:
    """Return properties without their length, in the order in which they stand in the dictionary."""
    out: list[bytes] = []
    for name, value in properties.items():
        write = _TYPES[name].write
        head = bytes((name,))
        out += [head + write(one) for one in (value if name in _REPEATED else (value,))]
    return b"".join(out)


class PublishProperties(NamedTuple):
    """What a client's PUBLISH says beside topic and payload."""

    forward: bytes = b""  # the properties that receivers must get, as they came and in their order
    expiry_s: int | None = None
    alias: int = 0  # 0: none
    response_topic: str | None = None
    correlation: bytes | None = None


NO_PROPERTIES = PublishProperties()
_COUNTED_DOWN_OR_LOCAL = frozenset({MESSAGE_EXPIRY, TOPIC_ALIAS})


REMEMBERED = 1024
REMEMBERED_BYTES = 64
"""Clients say the same again and again (one alias, one expiry, one content type): at most ~0.5 MB of such bytes are
remembered with what they say, which takes a tenth of the time of reading them."""


def parse_publish(data: bytes, at: int, end: int) -> tuple[PublishProperties, int]:
    """Read the properties of a client's PUBLISH; return them and where the payload begins."""
    if at < end and (size := data[at]) <= REMEMBERED_BYTES and at + size < end:
        stop = at + 1 + size
        return (_remembered(data[at + 1 : stop]) if size else NO_PROPERTIES), stop
    at, stop = _extent(data, at, end)
    return _publish(data[at:stop]), stop


def _publish(raw: bytes) -> PublishProperties:
    found: Properties = {}
    forward = b""
    run = at = 0  # run: where the properties begin that are forwarded next
    stop = len(raw)
    while at < stop:
        name = raw[at]
        if name == SUBSCRIPTION_IDENTIFIER:  # [MQTT-3.3.4-6]
            raise violation("a subscription identifier from a client", PROTOCOL_ERROR)
        after = _read(raw, at, stop, IN_PUBLISH, found)
        if name in _COUNTED_DOWN_OR_LOCAL:
            forward += raw[run:at]
            run = after
        at = after
    get = found.get
    return PublishProperties(
        forward + raw[run:],
        get(MESSAGE_EXPIRY),
        get(TOPIC_ALIAS, 0),
        get(RESPONSE_TOPIC),
        get(CORRELATION_DATA),
    )


_remembered = lru_cache(REMEMBERED)(_publish)
