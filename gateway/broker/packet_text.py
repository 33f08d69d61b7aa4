"""One MQTT packet as a line for people, as a trace shows it.

Two things are never in it: passwords, and topics of rows 1-5 of the topic rules (the mesh's own), whoever asks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.broker.access import MESH_KINDS, MESH_ROWS, Row, row_of
from gateway.broker.subscriptions import share_of
from gateway.errors import MalformedFrameError
from gateway.model.device import is_uuid
from gateway.mqtt import properties as props
from gateway.mqtt.client_packets import parse_connack, parse_publish, parse_suback
from gateway.mqtt.packets import (
    packet_id,
    parse_connect,
    parse_subscribe,
    parse_unsubscribe,
)
from gateway.mqtt.ports import PrincipalKind

MOST_TOPIC = 256  # characters shown
MOST_PAYLOAD_BYTES = 256  # shown, where payloads are asked for
REFUSED = 0x80  # reason codes from here on are refusals

NAMES = (
    "RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
    "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)  # fmt: skip
"""By the upper four bits of the first byte."""


class Line(NamedTuple):
    """What is said of a packet, and the topics or filters that it names."""

    text: str
    topics: tuple[str, ...] = ()


@dataclass(slots=True)
class Reading:
    """How one direction of one connection is read; `aliases` are the topics shortened in it (MQTT 5)."""

    version: int
    kind: PrincipalKind
    aliases: dict[int, str] = field(default_factory=dict)


class Packet(NamedTuple):
    """One whole packet within `data`."""

    data: bytes
    first: int
    body: int
    end: int

    @property
    def name(self) -> str:
        """Return the name of its type."""
        return NAMES[self.first >> 4]


def is_hidden(kind: PrincipalKind, topic: str) -> bool:
    """Return whether a topic, or a filter, belongs to rows 1-5 for this kind of client."""
    shared = share_of(topic)
    row = row_of(shared[1] if shared else topic)
    return row in MESH_ROWS or (row is Row.REQUEST and kind in MESH_KINDS)


def line_of(packet: Packet, reading: Reading, *, with_payload: bool = False) -> Line | None:
    """Return what a packet says; None: it is none of a trace's business. Never raises."""
    try:
        if packet.name == "PUBLISH":
            return _publish(packet, reading, with_payload=with_payload)
        say = SAYINGS.get(packet.name)
        return say(packet, reading) if say else Line(packet.name)
    except (MalformedFrameError, IndexError):
        return Line(f"{packet.name} that breaks the protocol")


def printable(text: str) -> str:
    """Return a text on one line, cut to a reasonable length; control characters are spelled out."""
    return _escaped(text[:MOST_TOPIC]) + ("…" if len(text) > MOST_TOPIC else "")


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _connect(packet: Packet, _reading: Reading) -> Line:
    asked = parse_connect(packet.data, packet.body, packet.end)
    if isinstance(asked, int):
        return Line(f"CONNECT of an MQTT version that is not spoken here (code {asked})")
    version = {3: "3.1", 4: "3.1.1", 5: "5"}[asked.version]
    words = [f"CONNECT MQTT {version}, client id '{printable(asked.client_id)}'"]
    if asked.username is not None:
        words.append(f"user '{printable(asked.username)}'")
    if asked.password is not None:
        words.append("with a password")
    words += [
        f"keep-alive {asked.keep_alive_s} s",
        "clean start" if asked.clean_start else "resume",
    ]
    if asked.expiry_s:
        words.append(f"session expiry {asked.expiry_s} s")
    topics: tuple[str, ...] = ()
    if asked.will is not None:
        is_device = is_uuid(asked.username or "")
        kind = PrincipalKind.DEVICE if is_device else PrincipalKind.USER
        if is_hidden(kind, asked.will.topic):
            words.append("a will")
        else:
            topics = (asked.will.topic,)
            flags = f"q{asked.will.qos}, r{int(asked.will.retain)}"
            words.append(
                f"will ({flags}, '{printable(asked.will.topic)}', {len(asked.will.payload)} bytes)"
            )
    return Line(", ".join(words), topics)


def _connack(packet: Packet, reading: Reading) -> Line:
    said = parse_connack(packet.data, packet.body, packet.end, reading.version)
    if said.code:
        return Line(f"CONNACK refused, code {said.code:#04x}")
    return Line("CONNACK, session present" if said.is_present else "CONNACK, new session")


def _publish(packet: Packet, reading: Reading, *, with_payload: bool) -> Line | None:
    said = parse_publish(packet.data, packet.first, packet.body, packet.end, reading.version)
    alias = said.properties.get(props.TOPIC_ALIAS, 0)
    topic = said.topic or reading.aliases.get(alias, "")
    if alias and said.topic:
        reading.aliases[alias] = said.topic
    if not topic or is_hidden(reading.kind, topic):
        return None  # an alias that was given before the trace began may stand for anything
    flags = f"d{int(said.dup)}, q{said.qos}, r{int(said.retain)}, m{said.number}"
    text = f"PUBLISH ({flags}, '{printable(topic)}', {len(said.payload)} bytes)"
    if with_payload:
        shown = said.payload[:MOST_PAYLOAD_BYTES].decode("utf-8", "backslashreplace")
        more = "…" if len(said.payload) > MOST_PAYLOAD_BYTES else ""
        text += f": {_escaped(shown)}{more}"
    return Line(text, (topic,))


def _ack(packet: Packet, _reading: Reading) -> Line:
    text = f"{packet.name} (m{packet_id(packet.data, packet.body, packet.end)})"
    reason = packet.data[packet.body + 2] if packet.end - packet.body > 2 else 0
    return Line(f"{text}, reason {reason:#04x}" if reason else text)


def _subscribe(packet: Packet, reading: Reading) -> Line | None:
    number, wanted, _ = parse_subscribe(packet.data, packet.body, packet.end, reading.version)
    shown = [
        (pattern, options & 3)
        for pattern, options in wanted
        if not is_hidden(reading.kind, pattern)
    ]
    if not shown:
        return None
    filters = ", ".join(f"'{printable(pattern)}' q{qos}" for pattern, qos in shown)
    return Line(f"SUBSCRIBE (m{number}) {filters}", tuple(pattern for pattern, _ in shown))


def _unsubscribe(packet: Packet, reading: Reading) -> Line | None:
    number, filters = parse_unsubscribe(packet.data, packet.body, packet.end, reading.version)
    shown = [pattern for pattern in filters if not is_hidden(reading.kind, pattern)]
    if not shown:
        return None
    text = ", ".join(f"'{printable(pattern)}'" for pattern in shown)
    return Line(f"UNSUBSCRIBE (m{number}) {text}", tuple(shown))


def _suback(packet: Packet, reading: Reading) -> Line:
    number, codes = parse_suback(packet.data, packet.body, packet.end, reading.version)
    said = ", ".join(f"refused {code:#04x}" if code >= REFUSED else str(code) for code in codes)
    return Line(f"{packet.name} (m{number}) {said}".rstrip())


def _disconnect(packet: Packet, _reading: Reading) -> Line:
    reason = packet.data[packet.body] if packet.end > packet.body else 0
    return Line(f"DISCONNECT, reason {reason:#04x}" if reason else "DISCONNECT")


SAYINGS: dict[str, Callable[[Packet, Reading], Line | None]] = {
    "CONNECT": _connect,
    "CONNACK": _connack,
    "PUBACK": _ack,
    "PUBREC": _ack,
    "PUBREL": _ack,
    "PUBCOMP": _ack,
    "SUBSCRIBE": _subscribe,
    "SUBACK": _suback,
    "UNSUBSCRIBE": _unsubscribe,
    "UNSUBACK": _suback,
    "DISCONNECT": _disconnect,
}
