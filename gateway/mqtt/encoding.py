"""One delivery as bytes, in the dialect of the client that gets it."""

from math import ceil

from gateway.mqtt.message import QOS_BITS, RETAIN_FLAG, Message, Outgoing
from gateway.mqtt.packets import length, with_length

EXPIRY, ALIAS = b"\x02", b"\x23"  # property identifiers (MQTT 5, 2.2.2.2)
NO_PROPERTIES = b"\x00"
DUP = 0x08


def head3(message: Message) -> bytes:
    """Return what precedes the packet id of a QoS 1 PUBLISH of MQTT 3: the same for all its receivers."""
    raw = message.raw
    message.head = b"".join(
        (b"\x32", length(4 + len(raw) + len(message.payload)), with_length(raw))
    )
    return message.head


def encoded(  # noqa: PLR0913 - what a packet consists of
    outgoing: Outgoing,
    version: int,
    number: bytes,
    *,
    now: float = 0.0,
    is_dup: bool = False,
    alias: int = 0,
    is_alias_known: bool = False,
) -> bytes:
    """Return a whole PUBLISH; `number` is the packet id, b"" at QoS 0.

    `alias` goes with the topic the first time, and instead of it once the client knows it (MQTT 5, 3.3.2.3.4).
    """
    message, flags, identifiers = outgoing
    first = 0x30 | (flags & QOS_BITS) << 1 | bool(flags & RETAIN_FLAG) | (DUP if is_dup else 0)
    topic = with_length(b"" if is_alias_known else message.raw)
    properties = b""
    if version == 5:
        properties = _properties(message, identifiers, now, alias)
    size = len(topic) + len(number) + len(properties) + len(message.payload)
    return b"".join((bytes((first,)), length(size), topic, number, properties, message.payload))


def alias_of(raw: bytes, known: dict[bytes, int], most: int) -> tuple[int, bool]:
    """Return (alias of a topic, 0 when there is none, whether the client knows it); the first `most` topics get one."""
    alias = known.get(raw)
    if alias is not None:
        return alias, True
    if len(known) >= most:
        return 0, False
    known[raw] = alias = len(known) + 1
    return alias, False


def _properties(message: Message, identifiers: bytes, now: float, alias: int) -> bytes:
    if message.expires_at is None and not alias and not identifiers and not message.properties:
        return NO_PROPERTIES
    expiry = named = b""
    if message.expires_at is not None:
        left = max(0, min(ceil(message.expires_at - now), 0xFFFFFFFF))
        expiry = EXPIRY + left.to_bytes(4, "big")
    if alias:
        named = ALIAS + alias.to_bytes(2, "big")
    body = b"".join((message.properties, expiry, identifiers, named))
    return length(len(body)) + body
