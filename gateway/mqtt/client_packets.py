"""MQTT packets as a client sees them: what bridges to other brokers write and read."""

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.mqtt import properties as props
from gateway.mqtt.connect_packet import FOR_EVER_S, Connect, Will
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import PROTOCOL_ERROR, TOPIC_ALIAS_INVALID, violation
from gateway.mqtt.wire import binary, length, packet_id, topic_name, with_length

PINGREQ = b"\xc0\x00"
LEAVE = b"\xe0\x00"
"""A DISCONNECT that says nothing; valid in every version."""


@dataclass(frozen=True, slots=True)
class PublishPacket:
    """A PUBLISH, to or from a server. `properties` are all of them; MQTT 3 has none."""

    topic: str  # "": the topic that `properties` has the alias of
    payload: bytes = field(repr=False)
    qos: int = 0
    retain: bool = False
    dup: bool = False
    number: int = 0  # packet id; 0 with QoS 0
    properties: Properties = field(default_factory=dict)


class Connack(NamedTuple):
    """A CONNACK; `code` is a return code, of an MQTT 5 server a reason code."""

    is_present: bool
    code: int
    properties: Properties


def connect(asked: Connect) -> bytes:
    """Return a CONNECT; what its version cannot say is left out."""
    flags = asked.clean_start << 1
    is_v5 = asked.version == 5
    parts = [with_length(b"MQIsdp" if asked.version == 3 else b"MQTT"), b""]
    parts.append(asked.keep_alive_s.to_bytes(2, "big"))
    if is_v5:
        parts.append(props.encode(_connect_properties(asked)))
    parts.append(with_length(asked.client_id.encode()))
    if asked.will is not None:
        flags |= 0x04 | asked.will.qos << 3 | asked.will.retain << 5
        parts += _will_parts(asked.will, is_v5=is_v5)
    if asked.username is not None:
        flags |= 0x80
        parts.append(with_length(asked.username.encode()))
    if asked.password is not None:
        flags |= 0x40
        parts.append(with_length(asked.password))
    parts[1] = bytes((asked.version, flags))
    return _packet(0x10, *parts)


def _connect_properties(asked: Connect) -> Properties:
    """Return what differs from what a server assumes anyway (3.1.2.11)."""
    said: Properties = {
        props.SESSION_EXPIRY: min(asked.expiry_s, FOR_EVER_S) or None,
        props.RECEIVE_MAXIMUM: None if asked.receive_maximum == 0xFFFF else asked.receive_maximum,
        props.MAXIMUM_PACKET_SIZE: asked.most_packet_bytes,
        props.TOPIC_ALIAS_MAXIMUM: asked.alias_maximum or None,
        props.REQUEST_RESPONSE_INFORMATION: 1 if asked.request_response_information else None,
        props.REQUEST_PROBLEM_INFORMATION: None if asked.request_problem_information else 0,
        props.AUTHENTICATION_METHOD: asked.auth_method,
        props.AUTHENTICATION_DATA: asked.auth_data,
        props.USER_PROPERTY: list(asked.user_properties) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _will_parts(will: Will, *, is_v5: bool) -> list[bytes]:
    parts = [with_length(will.topic.encode()), with_length(will.payload)]
    if is_v5:
        said: Properties = {}
        if will.delay_s:
            said[props.WILL_DELAY] = will.delay_s
        if will.expiry_s is not None:
            said[props.MESSAGE_EXPIRY] = will.expiry_s
        raw = props.encode_bare(said) + will.properties
        parts.insert(0, length(len(raw)) + raw)
    return parts


def subscribe(
    number: int, wanted: list[tuple[str, int]], version: int, identifier: int = 0
) -> bytes:
    """Return a SUBSCRIBE for filters with their options (QoS alone before MQTT 5)."""
    said = b""
    if version == 5:
        said = props.encode({props.SUBSCRIPTION_IDENTIFIER: [identifier]} if identifier else {})
    filters = [
        with_length(pattern.encode()) + bytes((options if version == 5 else options & 3,))
        for pattern, options in wanted
    ]
    return _packet(0x82, number.to_bytes(2, "big"), said, *filters)


def unsubscribe(number: int, filters: list[str], version: int) -> bytes:
    """Return an UNSUBSCRIBE."""
    said = b"\0" if version == 5 else b""
    return _packet(
        0xA2, number.to_bytes(2, "big"), said, *(with_length(one.encode()) for one in filters)
    )


def publish(packet: PublishPacket, version: int) -> bytes:
    """Return a PUBLISH."""
    first = 0x30 | packet.dup << 3 | packet.qos << 1 | packet.retain
    number = packet.number.to_bytes(2, "big") if packet.qos else b""
    said = props.encode(packet.properties) if version == 5 else b""
    return _packet(first, with_length(packet.topic.encode()), number, said, packet.payload)


def disconnect(reason: int, expiry_s: int | None = None) -> bytes:
    """Return an MQTT 5 DISCONNECT; `expiry_s` changes how long the server keeps the session."""
    said = b"" if expiry_s is None else props.encode({props.SESSION_EXPIRY: expiry_s})
    return _packet(0xE0, bytes((reason,)), said)


def _packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((first,)) + length(len(body)) + body


def parse_connack(data: bytes, body: int, end: int, version: int) -> Connack:
    """Read a CONNACK. A server may refuse an MQTT 5 client in the form of MQTT 3.1.1: without properties."""
    if end - body < 2 or data[body] > 1:
        raise violation("a CONNACK that is none")
    said: Properties = {}
    at = body + 2
    if version == 5 and at < end:
        said, at = props.parse(data, at, end, props.IN_CONNACK)
    if at != end:
        raise violation("a CONNACK with bytes left over")
    return Connack(bool(data[body]), data[body + 1], said)


def parse_publish(data: bytes, first: int, body: int, end: int, version: int) -> PublishPacket:
    """Read a PUBLISH from a server; `first` is its first byte."""
    qos = first >> 1 & 3
    if qos == 3 or (first & 8 and not qos):
        raise violation("a PUBLISH with impossible flags")
    raw, at = binary(data, body, end)
    number = 0
    if qos:
        number = packet_id(data, at, end)
        at += 2
    said: Properties = {}
    if version == 5:
        said, at = props.parse(data, at, end, props.IN_DELIVERY)
    topic = topic_name(raw) if raw or version < 5 else ""
    if not topic and props.TOPIC_ALIAS not in said:
        raise violation("a PUBLISH without a topic", PROTOCOL_ERROR)
    return PublishPacket(topic, data[at:end], qos, bool(first & 1), bool(first & 8), number, said)


class Aliases:
    """The topics that a server has given numbers to on one connection (MQTT 5.0, 3.3.2.3.4)."""

    def __init__(self, most: int) -> None:
        """`most` is the topic alias maximum that the CONNECT announced."""
        self._most = most
        self._topics: dict[int, str] = {}

    def topic_of(self, packet: PublishPacket) -> str:
        """Return the topic of a PUBLISH, and remember it when it comes with an alias."""
        alias: int = packet.properties.get(props.TOPIC_ALIAS, 0)
        if not alias:
            return packet.topic
        if alias > self._most:
            raise violation("a topic alias above the maximum", TOPIC_ALIAS_INVALID)
        if packet.topic:
            self._topics[alias] = packet.topic
        elif alias not in self._topics:
            raise violation("a topic alias without a topic", PROTOCOL_ERROR)
        return self._topics[alias]


def parse_suback(data: bytes, body: int, end: int, version: int) -> tuple[int, bytes]:
    """Return (packet id, one code a filter) of a SUBACK or UNSUBACK; an UNSUBACK of MQTT 3 has no codes."""
    number = packet_id(data, body, end)
    at = body + 2
    if version == 5:
        _, at = props.parse(data, at, end, props.IN_ACK)
    return number, data[at:end]


def parse_dismissal(data: bytes, body: int, end: int) -> tuple[int, str]:
    """Return (reason, what the server says about it) of an MQTT 5 server's DISCONNECT."""
    if end - body < 2:
        return (data[body] if end > body else 0), ""
    said, at = props.parse(data, body + 1, end, props.IN_DISMISSAL)
    if at != end:
        raise violation("a DISCONNECT with bytes left over")
    return data[body], said.get(props.REASON_STRING, "")
