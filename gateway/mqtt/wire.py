"""The data types that MQTT packets are made of: integers, strings, binary fields (MQTT 5.0, 1.5).

Readers take (data, at, end), never look past `end`, and return (value, where the next field begins).
"""

from gateway.mqtt.reasons import violation

LARGEST_VARIABLE = 268_435_455
"""What four bytes of seven bits hold: the largest remaining length, property length, subscription identifier."""
OVERRUN = "a field longer than its packet"


def one_byte(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a byte."""
    if at >= end:
        raise violation(OVERRUN)
    return data[at], at + 1


def two_bytes(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a two byte integer."""
    if at + 2 > end:
        raise violation(OVERRUN)
    return data[at] << 8 | data[at + 1], at + 2


def four_bytes(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a four byte integer."""
    if at + 4 > end:
        raise violation(OVERRUN)
    return int.from_bytes(data[at : at + 4], "big"), at + 4


def variable(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a variable byte integer; longer than it need be is malformed [MQTT-1.5.5-1]."""
    value = shift = 0
    for place in range(at, min(at + 4, end)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if not byte and shift:
                raise violation("a variable byte integer not in its shortest form")
            return value, place + 1
        shift += 7
    raise violation("a variable byte integer without an end")


def binary(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Read bytes that follow their length."""
    start = at + 2
    if start > end:
        raise violation(OVERRUN)
    stop = start + (data[at] << 8 | data[at + 1])
    if stop > end:
        raise violation(OVERRUN)
    return data[start:stop], stop


def string(data: bytes, at: int, end: int) -> tuple[str, int]:
    """Read a string."""
    raw, at = binary(data, at, end)
    return text(raw), at


def text(raw: bytes) -> str:
    """Return an MQTT string: UTF-8 without surrogates [MQTT-1.5.4-1] or NUL [MQTT-1.5.4-2]."""
    try:
        value = raw.decode()
    except UnicodeDecodeError:
        raise violation("a string is not UTF-8") from None
    if "\0" in value:
        raise violation("a string holds U+0000")
    return value


def topic_name(raw: bytes) -> str:
    """Return the topic of a PUBLISH or will: not empty [MQTT-4.7.3-1], no wildcard [MQTT-3.3.2-2]."""
    topic = text(raw)
    if not topic:
        raise violation("an empty topic")
    if "#" in topic or "+" in topic:
        raise violation("a topic with a wildcard")
    return topic


def packet_id(data: bytes, at: int, end: int) -> int:
    """Return the packet id at `at`; 0 is forbidden [MQTT-2.2.1-3]."""
    if at + 2 > end:
        raise violation("a packet without its id")
    number = data[at] << 8 | data[at + 1]
    if not number:
        raise violation("packet id 0")
    return number


def length(size: int) -> bytes:
    """Return a variable byte integer, such as a remaining length, in its shortest form."""
    if size < 128:
        return bytes((size,))
    out = bytearray()
    while size > 127:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def with_length(raw: bytes) -> bytes:
    """Return a string or binary field as MQTT writes it."""
    return len(raw).to_bytes(2, "big") + raw
