"""SUBSCRIBE and UNSUBSCRIBE, and their answers."""

from gateway.mqtt import properties as props
from gateway.mqtt.reasons import MALFORMED_PACKET, PROTOCOL_ERROR, violation
from gateway.mqtt.wire import length, packet_id, string

REFUSED_FILTER = 0x80  # SUBACK: this filter was not granted

NO_LOCAL, RETAIN_AS_PUBLISHED, RETAIN_HANDLING = 0x04, 0x08, 0x30
"""Bits of the subscription options of MQTT 5; retain handling is shifted by 4."""
RESERVED_OPTIONS = 0xC0


def parse_subscribe(
    data: bytes, body: int, end: int, version: int
) -> tuple[int, list[tuple[str, int]], int]:
    """Return (packet id, [(filter, options as on the wire)], subscription identifier or 0)."""
    number = packet_id(data, body, end)
    at = body + 2
    identifier = 0
    if version == 5:
        said, at = props.parse(data, at, end, props.IN_SUBSCRIBE)
        identifiers = said.get(props.SUBSCRIPTION_IDENTIFIER, (0,))
        if len(identifiers) > 1:  # 3.8.2.1.2
            raise violation("a SUBSCRIBE with two identifiers", PROTOCOL_ERROR)
        identifier = identifiers[0]
    wanted: list[tuple[str, int]] = []
    while at < end:
        pattern, at = _filter(data, at, end)
        if at >= end:
            raise violation("a filter without its options")
        options = data[at]
        if options > 2:
            _check_options(pattern, options, version)
        wanted.append((pattern, options))
        at += 1
    if not wanted:
        raise violation("a SUBSCRIBE without a filter", PROTOCOL_ERROR)  # [MQTT-3.8.3-2]
    return number, wanted, identifier


def _check_options(pattern: str, options: int, version: int) -> None:
    """Judge options that are more than a QoS (3.8.3.1)."""
    if version < 5 or options & RESERVED_OPTIONS:  # [MQTT-3.8.3-5]
        raise violation("a SUBSCRIBE with reserved bits set", MALFORMED_PACKET)
    if options & 3 == 3:
        raise violation("a SUBSCRIBE with an impossible QoS", PROTOCOL_ERROR)
    if options & RETAIN_HANDLING == RETAIN_HANDLING:
        raise violation("a SUBSCRIBE with retain handling 3", PROTOCOL_ERROR)
    if options & NO_LOCAL and pattern.startswith("$share/"):  # [MQTT-3.8.3-4]
        raise violation("No Local on a shared subscription", PROTOCOL_ERROR)


def parse_unsubscribe(data: bytes, body: int, end: int, version: int) -> tuple[int, list[str]]:
    """Return (packet id, filters)."""
    number = packet_id(data, body, end)
    at = body + 2
    if version == 5:
        _, at = props.parse(data, at, end, props.IN_UNSUBSCRIBE)
    filters: list[str] = []
    while at < end:
        pattern, at = _filter(data, at, end)
        filters.append(pattern)
    if not filters:
        raise violation("an UNSUBSCRIBE without a filter", PROTOCOL_ERROR)  # [MQTT-3.10.3-2]
    return number, filters


def _filter(data: bytes, at: int, end: int) -> tuple[str, int]:
    pattern, at = string(data, at, end)
    if not pattern:  # [MQTT-4.7.3-1]
        raise violation("an empty filter")
    return pattern, at


def suback(number: int, codes: bytes, version: int = 4) -> bytes:
    """Return a SUBACK with one code a filter."""
    return _listed(b"\x90", number, codes, version)


def unsuback(number: int, codes: bytes, version: int = 4) -> bytes:
    """Return an UNSUBACK with one code a filter; only MQTT 5 sends the codes."""
    return _listed(b"\xb0", number, codes if version == 5 else b"", version)


def _listed(first: bytes, number: int, codes: bytes, version: int) -> bytes:
    no_properties = b"\0" if version == 5 else b""
    size = 2 + len(no_properties) + len(codes)
    return b"".join((first, length(size), number.to_bytes(2, "big"), no_properties, codes))
