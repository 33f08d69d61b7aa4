"""MQTT packets as a server sees them: where they begin and end in a byte stream, what they say, how they are written.

Strict: whatever the standard forbids raises ProtocolViolation, and the connection it came by is closed.
Four dialects are spoken: `MQIsdp` level 3 (MQTT 3.1), `MQTT` level 4 (3.1.1), `MQTT` level 5 (5.0) and `MQIsdp`
level 4, which is what the published Meshblu client sends.  The longer packets have modules of their own; `packets`
offers all of them, because a server needs all of them.
"""

from gateway.mqtt import properties as props
from gateway.mqtt.connect_packet import (
    ACCEPTED,
    BAD_CLIENT_ID,
    BAD_LOGIN,
    BAD_VERSION,
    DIALECTS,
    FOR_EVER_S,
    NOT_AUTHORISED,
    UNAVAILABLE,
    Connect,
    Will,
    connack,
    connect_version,
    parse_connect,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import ACK_REASONS, LEAVE_REASONS, PROTOCOL_ERROR, violation
from gateway.mqtt.subscribe_packet import (
    NO_LOCAL,
    REFUSED_FILTER,
    RETAIN_AS_PUBLISHED,
    RETAIN_HANDLING,
    parse_subscribe,
    parse_unsubscribe,
    suback,
    unsuback,
)
from gateway.mqtt.wire import length, packet_id, text, topic_name, with_length

__all__ = [
    "ACCEPTED",
    "AUTH",
    "BAD_CLIENT_ID",
    "BAD_LENGTH",
    "BAD_LOGIN",
    "BAD_VERSION",
    "CONNECT",
    "DIALECTS",
    "DISCONNECT",
    "FOR_EVER_S",
    "NOT_AUTHORISED",
    "NO_LOCAL",
    "PINGREQ",
    "PINGRESP",
    "PUBACK",
    "PUBCOMP",
    "PUBLISH",
    "PUBREC",
    "PUBREL",
    "REFUSED_FILTER",
    "RETAIN_AS_PUBLISHED",
    "RETAIN_HANDLING",
    "SUBSCRIBE",
    "TOO_LARGE",
    "UNAVAILABLE",
    "UNSUBSCRIBE",
    "Connect",
    "Frame",
    "Properties",
    "Will",
    "ack",
    "connack",
    "connect_version",
    "disconnect",
    "length",
    "lone_packet_id",
    "packet_id",
    "parse_ack",
    "parse_connect",
    "parse_disconnect",
    "parse_subscribe",
    "parse_unsubscribe",
    "split",
    "suback",
    "text",
    "topic_name",
    "unsuback",
    "with_length",
]

CONNECT, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 3, 4, 5, 6, 7
SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH = 8, 10, 12, 14, 15

PINGRESP = b"\xd0\x00"

Frame = tuple[int, int, int, int]
"""(first byte, start of the packet, start of its body, end); (0, start, BAD_LENGTH or TOO_LARGE, 0) ends a list."""
BAD_LENGTH, TOO_LARGE = 1, 2


def split(data: bytes, limit: int) -> tuple[list[Frame], int, int]:
    """Find whole packets; return them, where the unfinished rest begins, and how long it must get to go on.

    Bodies longer than `limit` and lengths of more than four bytes become one last marker frame, so that what
    came before them is still handled.
    """
    frames: list[Frame] = []
    add = frames.append
    start = 0
    have = len(data)
    while have - start >= 2:
        size = data[start + 1]
        body = start + 2
        if size & 0x80:
            size, body = _long_length(data, start)
            if body == 0:  # the length itself is still incomplete
                return frames, start, have - start + 1
            if size < 0 or size > limit:
                add((0, start, BAD_LENGTH if size < 0 else TOO_LARGE, 0))
                return frames, have, 0
        end = body + size
        if end > have:
            return frames, start, end - start
        add((data[start], start, body, end))
        start = end
    return frames, start, 2


def _long_length(data: bytes, start: int) -> tuple[int, int]:
    """Return (length, start of body); body 0: incomplete; length -1: too long, or not in its shortest form."""
    size = data[start + 1] & 0x7F
    for at in range(start + 2, min(start + 5, len(data))):
        byte = data[at]
        size |= (byte & 0x7F) << (7 * (at - start - 1))
        if not byte & 0x80:
            return (size if byte else -1), at + 1
    return (0, 0) if len(data) < start + 5 else (-1, 1)


def lone_packet_id(data: bytes, body: int, end: int) -> int:
    """Return the id of a packet that holds nothing else (PUBACK, PUBREL)."""
    if end - body != 2:
        raise violation("an acknowledgement of the wrong length")
    return packet_id(data, body, end)


def parse_ack(
    data: bytes, body: int, end: int, version: int, allowed: frozenset[int] = ACK_REASONS
) -> tuple[int, int]:
    """Return (packet id, reason) of a PUBACK, PUBREC, PUBREL or PUBCOMP.

    `allowed` are the reasons of its type (`reasons.RECEIVED_REASONS`, `RELEASED_REASONS`) [MQTT-3.4.2-1].
    """
    if end - body == 2 or version < 5:
        return lone_packet_id(data, body, end), 0
    number = packet_id(data, body, end)
    reason = _reason(data[body + 2], allowed)
    if end - body > 3:
        _only_properties(data, body + 3, end, props.IN_ACK)
    return number, reason


def parse_disconnect(data: bytes, body: int, end: int, version: int) -> tuple[int, int | None]:
    """Return (reason, new session expiry interval in s, None: unchanged) of a client's DISCONNECT."""
    if body == end:
        return 0, None
    if version < 5:
        raise violation("a DISCONNECT with a body")
    reason = _reason(data[body], LEAVE_REASONS)
    if end - body == 1:
        return reason, None
    said = _only_properties(data, body + 1, end, props.IN_LEAVE)
    return reason, said.get(props.SESSION_EXPIRY)


def _reason(reason: int, allowed: frozenset[int]) -> int:
    if reason not in allowed:
        raise violation(f"a reason code {reason:#04x} where it has no meaning", PROTOCOL_ERROR)
    return reason


def _only_properties(data: bytes, at: int, end: int, allowed: frozenset[int]) -> Properties:
    said, at = props.parse(data, at, end, allowed)
    if at != end:
        raise violation("bytes left over after the properties")
    return said


def ack(first: int, number: int, reason: int = 0, version: int = 4) -> bytes:
    """Return PUBACK (0x40), PUBREC (0x50), PUBREL (0x62), PUBCOMP (0x70) or UNSUBACK (0xB0, to 3.1.1 only).

    Only MQTT 5 has a reason; 0 is left out there too (3.4.2.1).
    """
    if reason and version == 5:
        return bytes((first, 3, number >> 8, number & 0xFF, reason))
    return bytes((first, 2, number >> 8, number & 0xFF))


def disconnect(reason: int, properties: Properties | None = None) -> bytes:
    """Return a DISCONNECT that tells an MQTT 5 client why; a server never sends one to others."""
    if not properties:
        return bytes((0xE0, 1, reason))
    said = props.encode(properties)
    return b"\xe0" + length(1 + len(said)) + bytes((reason,)) + said
