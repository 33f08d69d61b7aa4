"""PROXY headers, versions 1 and 2: read to their last byte, and refused where they are none."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.proxy_protocol import MOST_BYTES, OWN, ProxyHeader, missing, parse
from gateway.errors import MalformedFrameError

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def version2(family: int, addresses: bytes, *values: bytes, command: int = 0x21) -> bytes:
    body = addresses + b"".join(values)
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def value(kind: int, data: bytes) -> bytes:
    return struct.pack("!BH", kind, len(data)) + data


def ends4(peer: str = "192.0.2.1", local: str = "192.0.2.2") -> bytes:
    return (
        ipaddress.ip_address(peer).packed
        + ipaddress.ip_address(local).packed
        + struct.pack("!HH", 40000, 1883)
    )


def tls(flags: int, verified: int, *values: bytes) -> bytes:
    return value(0x20, struct.pack("!BI", flags, verified) + b"".join(values))


def read_by_need(stream: bytes) -> tuple[ProxyHeader, bytes]:
    """Read as a socket does: exactly what is asked for; returns the header and what was left alone."""
    data = b""
    while need := missing(data):
        assert len(stream) > len(data), "it asks for more than there is"
        data = stream[: len(data) + need]
    return parse(data), stream[len(data) :]


PEER = ProxyHeader(("192.0.2.1", 40000), ("192.0.2.2", 1883))
HEADERS = {
    "version 1, IPv4": (b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n", PEER),
    "version 1, IPv6": (
        b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n",
        ProxyHeader(("2001:db8::1", 1), ("2001:db8::2", 65535)),
    ),
    "version 1, unknown": (b"PROXY UNKNOWN\r\n", OWN),
    "version 1, unknown with words": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", OWN),
    "version 2, IPv4": (version2(0x11, ends4()), PEER),
    "version 2, IPv6": (
        version2(
            0x21,
            ipaddress.ip_address("2001:db8::1").packed
            + ipaddress.ip_address("2001:db8::2").packed
            + struct.pack("!HH", 7, 8),
        ),
        ProxyHeader(("2001:db8::1", 7), ("2001:db8::2", 8)),
    ),
    "version 2, a Unix socket": (version2(0x31, bytes(216)), OWN),
    "version 2, unspecified": (version2(0x00, b""), OWN),
    "version 2, LOCAL": (version2(0x11, ends4(), command=0x20), OWN),
    "version 2, LOCAL without addresses": (version2(0x00, b"", command=0x20), OWN),
    "version 2, with values of no interest": (
        version2(0x11, ends4(), value(0x02, b"gateway.local"), value(0x04, bytes(9))),
        PEER,
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_read_and_nothing_after_it(name):
    raw, expected = HEADERS[name]
    assert read_by_need(raw + b"\x10\x0c\x00\x04MQTT") == (expected, b"\x10\x0c\x00\x04MQTT")


WRONG = {
    "MQTT at once": b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
    "TLS at once": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaa",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower case": b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "no end": b"PROXY TCP4 " + b"1" * 200,
    "no address": b"PROXY TCP4 one two 1 2\r\n",
    "the other family": b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    "UDP": b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
    "a port too high": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
    "a port that is none": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 -1\r\n",
    "a word too many": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
    "a word too few": b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
    "not ASCII": b"PROXY TCP4 192.0.2.\xff 192.0.2.2 1 2\r\n",
    "a damaged signature": b"\r\n\r\n\0\r\nQUIX\n" + bytes(20),
    "version 3": version2(0x11, ends4(), command=0x31),
    "an unknown command": version2(0x11, ends4(), command=0x22),
    "UDP, version 2": version2(0x12, ends4()),
    "addresses cut short": version2(0x11, ends4()[:-1]),
    "a value without length": version2(0x11, ends4(), b"\x02\x00"),
    "a value too long": version2(0x11, ends4(), b"\x02\x00\x05abc"),
    "far too long": SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MOST_BYTES),
    "TLS without flags": version2(0x11, ends4(), value(0x20, b"\x01")),
    "a wrong checksum": version2(0x11, ends4(), value(0x03, b"abcd")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_header_is_refused(name):
    with pytest.raises(MalformedFrameError) as caught:
        read_by_need(WRONG[name])
    assert caught.value.code == "GW-1120"


def test_a_checksum_that_is_right_is_taken():
    # CRC-32C as proxies compute it: over the header with the sum's own bytes as zeros.
    header = version2(0x11, ends4(), value(0x03, bytes(4)))
    crc = 0xFFFFFFFF
    for byte in header:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    whole = header[:-4] + struct.pack("!I", crc ^ 0xFFFFFFFF)
    assert parse(whole) == PEER


CN = value(0x22, b"kitchen")


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (tls(0x03, 0, CN), "kitchen"),
        (tls(0x05, 0, value(0x21, b"TLSv1.3"), CN), "kitchen"),  # in an earlier session
        (tls(0x03, 1, CN), None),  # not verified
        (tls(0x01, 0, CN), None),  # none shown
        (tls(0x02, 0, CN), None),  # no TLS
        (tls(0x03, 0), None),  # no name
    ],
)
def test_a_certificate_counts_when_the_proxy_says_it_was_shown_and_verified(told, name):
    certificate = parse(version2(0x11, ends4(), told)).certificate
    assert (certificate and certificate.common_name) == name


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_never_past_the_limit(noise):
    for stream in (noise, SIGNATURE + noise, b"PROXY " + noise):
        data = b""
        try:
            while (need := missing(data)) and len(data) + need <= len(stream):
                assert len(data) + need <= MOST_BYTES
                data = stream[: len(data) + need]
            if not missing(data):
                parse(data)
        except MalformedFrameError:
            continue
