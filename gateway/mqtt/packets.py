"""MQTT 3.1 and 3.1.1 packets: where they begin and end in a byte stream, what they say, how they are written.

Strict: whatever the standard forbids raises MalformedFrameError, and the connection it came by is closed.
Three dialects are spoken: `MQIsdp` level 3 (MQTT 3.1), `MQTT` level 4 (3.1.1) and `MQIsdp` level 4, which is what
the published Meshblu client sends.
"""

from dataclasses import dataclass, field

from gateway.errors import MalformedFrameError

CONNECT, PUBLISH, PUBACK, PUBREL = 1, 3, 4, 6
SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 8, 10, 12, 14

PINGRESP = b"\xd0\x00"
REFUSED_FILTER = 0x80  # SUBACK: this filter was not granted

ACCEPTED, BAD_VERSION, BAD_CLIENT_ID, UNAVAILABLE, BAD_LOGIN, NOT_AUTHORISED = range(6)  # CONNACK

DIALECTS = {(b"MQIsdp", 3), (b"MQIsdp", 4), (b"MQTT", 4)}
NAMES = {b"MQIsdp", b"MQTT"}

Frame = tuple[int, int, int, int]
"""(first byte, start of the packet, start of its body, end); (0, start, BAD_LENGTH or TOO_LARGE, 0) ends a list."""
BAD_LENGTH, TOO_LARGE = 1, 2


def malformed(text: str) -> MalformedFrameError:
    """Return the error that closes a connection."""
    return MalformedFrameError(text, code="GW-1101", hint="update or replace this MQTT client")


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


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when a client goes without saying so."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT that may be judged."""

    client_id: str  # "": the broker makes one up
    clean_session: bool
    keep_alive_s: int
    will: Will | None
    username: str | None
    password: bytes | None = field(repr=False)


def text(raw: bytes) -> str:
    """Return an MQTT string; raises MalformedFrameError unless it is UTF-8 without NUL."""
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        raise malformed("a string is not UTF-8") from None
    if "\0" in value:
        raise malformed("a string holds U+0000")
    return value


def topic_name(raw: bytes) -> str:
    """Return the topic of a PUBLISH or will: not empty, no wildcard."""
    topic = text(raw)
    if not topic:
        raise malformed("an empty topic")
    if "#" in topic or "+" in topic:
        raise malformed("a topic with a wildcard")
    return topic


def _field(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    stop = at + 2
    if stop <= end:
        stop += data[at] << 8 | data[at + 1]
    if stop > end or end - at < 2:
        raise malformed("a field longer than its packet")
    return data[at + 2 : stop], stop


def packet_id(data: bytes, at: int, end: int) -> int:
    """Return the packet id at `at`; 0 is forbidden."""
    if at + 2 > end:
        raise malformed("a packet without its id")
    number = data[at] << 8 | data[at + 1]
    if not number:
        raise malformed("packet id 0")
    return number


def lone_packet_id(data: bytes, body: int, end: int) -> int:
    """Return the id of a packet that holds nothing else (PUBACK, PUBREL)."""
    if end - body != 2:
        raise malformed("an acknowledgement of the wrong length")
    return packet_id(data, body, end)


def parse_connect(data: bytes, body: int, end: int) -> Connect | int:
    """Return what a CONNECT says, or the CONNACK code (1 version, 2 client id) that refuses it."""
    name, at = _field(data, body, end)
    if name not in NAMES:
        raise malformed("not an MQTT CONNECT")
    if at + 4 > end:
        raise malformed("a CONNECT cut short")
    level, flags = data[at], data[at + 1]
    if (name, level) not in DIALECTS:
        return BAD_VERSION
    _check_flags(flags)
    keep_alive_s = data[at + 2] << 8 | data[at + 3]
    raw_id, at = _field(data, at + 4, end)
    client_id = text(raw_id)
    clean = bool(flags & 0x02)
    will, at = _parse_will(data, at, end, flags)
    username: str | None = None
    password: bytes | None = None
    if flags & 0x80:
        raw_name, at = _field(data, at, end)
        username = text(raw_name)
    if flags & 0x40:
        password, at = _field(data, at, end)
    if at != end:
        raise malformed("a CONNECT with bytes left over")
    if not client_id and (level == 3 or not clean):
        return BAD_CLIENT_ID
    return Connect(client_id, clean, keep_alive_s, will, username, password)


def _check_flags(flags: int) -> None:
    """Judge the connect flags by 3.1.2.3 to 3.1.2.9 of MQTT 3.1.1."""
    if flags & 0x01:
        raise malformed("CONNECT with its reserved flag set")
    will_qos = flags >> 3 & 3
    if will_qos == 3 or (not flags & 0x04 and flags & 0x38):
        raise malformed("CONNECT with impossible will flags")
    if flags & 0x40 and not flags & 0x80:
        raise malformed("CONNECT with a password but no user name")


def _parse_will(data: bytes, at: int, end: int, flags: int) -> tuple[Will | None, int]:
    if not flags & 0x04:
        return None, at
    raw, at = _field(data, at, end)
    payload, at = _field(data, at, end)
    return Will(topic_name(raw), payload, flags >> 3 & 3, bool(flags & 0x20)), at


def parse_subscribe(data: bytes, body: int, end: int) -> tuple[int, list[tuple[str, int]]]:
    """Return (packet id, [(filter, requested QoS)])."""
    number = packet_id(data, body, end)
    at = body + 2
    wanted: list[tuple[str, int]] = []
    while at < end:
        raw, at = _field(data, at, end)
        if at >= end or data[at] > 2:
            raise malformed("a SUBSCRIBE with an impossible QoS")
        wanted.append((_filter_text(raw), data[at]))
        at += 1
    if not wanted:
        raise malformed("a SUBSCRIBE without a filter")
    return number, wanted


def parse_unsubscribe(data: bytes, body: int, end: int) -> tuple[int, list[str]]:
    """Return (packet id, filters)."""
    number = packet_id(data, body, end)
    at = body + 2
    filters: list[str] = []
    while at < end:
        raw, at = _field(data, at, end)
        filters.append(_filter_text(raw))
    if not filters:
        raise malformed("an UNSUBSCRIBE without a filter")
    return number, filters


def _filter_text(raw: bytes) -> str:
    value = text(raw)
    if not value:
        raise malformed("an empty filter")
    return value


def length(size: int) -> bytes:
    """Return a remaining length in its shortest form."""
    if size < 128:
        return bytes((size,))
    out = bytearray()
    while size > 127:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def with_length(raw: bytes) -> bytes:
    """Return a string as MQTT writes it."""
    return len(raw).to_bytes(2, "big") + raw


def connack(code: int, *, is_present: bool = False) -> bytes:
    """Return a CONNACK."""
    return bytes((0x20, 2, is_present, code))


def ack(first: int, number: int) -> bytes:
    """Return PUBACK (0x40), PUBREC (0x50), PUBCOMP (0x70) or UNSUBACK (0xB0)."""
    return bytes((first, 2, number >> 8, number & 0xFF))


def suback(number: int, codes: bytes) -> bytes:
    """Return a SUBACK with one code a filter."""
    return b"\x90" + length(2 + len(codes)) + number.to_bytes(2, "big") + codes


def publish0(topic: bytes, payload: bytes, first: int = 0x30) -> bytes:
    """Return a QoS 0 PUBLISH; 0x31 marks a retained one."""
    return b"".join(
        (bytes((first,)), length(2 + len(topic) + len(payload)), with_length(topic), payload)
    )


def head1(topic: bytes, payload_bytes: int, first: int = 0x32) -> bytes:
    """Return what precedes the packet id of a QoS 1 PUBLISH: the same for all its receivers."""
    return b"".join((bytes((first,)), length(4 + len(topic) + payload_bytes), with_length(topic)))
