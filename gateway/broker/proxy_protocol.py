"""The PROXY protocol, versions 1 and 2: who a proxy says it speaks for (haproxy.org, doc/proxy-protocol.txt).

Pure: `missing` tells a reader how many bytes still belong to the header, so that it never takes one of what follows
(a TLS handshake may stand in the same segment); `parse` reads the whole header.
"""

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.errors import MalformedFrameError
from gateway.mqtt.ports import PeerCertificate

V1_START = b"PROXY "
V1_LEAST = len(b"PROXY UNKNOWN\r\n")
V1_MOST = 107  # bytes, CR and LF included: section 2.1
V2_START = b"\r\n\r\n\0\r\nQUIT\n"
V2_HEAD = 16  # signature, version and command, family, length
MOST_BYTES = 4096  # of a version 2 header; certificates' names are far shorter

LOCAL, PROXY = 0x20, 0x21  # version 2 and the command
TCP4, TCP6, UNIX, UNSPEC = 0x11, 0x21, 0x31, 0x00
ADDRESS_BYTES = {TCP4: 12, TCP6: 36, UNIX: 216, UNSPEC: 0}

TYPE_CRC32C, TYPE_SSL = 0x03, 0x20
SUBTYPE_CN = 0x22
SSL_USED, CERTIFICATE_SHOWN = 0x01, 0x02 | 0x04  # in this connection, or in the session it resumes

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says; `peer` is None where the socket's own peer holds (LOCAL, UNKNOWN)."""

    peer: Address | None = None
    local: Address | None = None
    certificate: PeerCertificate | None = None  # the proxy verified it


OWN = ProxyHeader()


def missing(data: bytes) -> int:
    """Return how many more bytes surely belong to the header; 0: it is whole.

    Raises MalformedFrameError GW-1120 as soon as the bytes cannot be a header.
    """
    if V2_START.startswith(data[: len(V2_START)]):
        if len(data) < V2_HEAD:
            # Version 1 may be shorter than this, but shares no byte with it.
            return V2_HEAD - len(data) if data else V1_LEAST
        size = V2_HEAD + int.from_bytes(data[14:16], "big")
        if size > MOST_BYTES:
            raise _malformed(f"a header of {size} bytes")
        return size - len(data)
    if not V1_START.startswith(data[: len(V1_START)]):
        raise _malformed("no PROXY header")
    if len(data) < V1_LEAST:
        return V1_LEAST - len(data)
    if data.endswith(b"\r\n"):
        return 0
    if len(data) >= V1_MOST:
        raise _malformed("a version 1 header without an end")
    return 1


def parse(data: bytes) -> ProxyHeader:
    """Read a whole header; raises MalformedFrameError GW-1120."""
    return _version1(data) if data.startswith(V1_START) else _version2(data)


def _version1(data: bytes) -> ProxyHeader:
    try:
        words = data[:-2].decode("ascii").split(" ")
    except UnicodeDecodeError as error:
        raise _malformed("a version 1 header that is not ASCII") from error
    if words[1] == "UNKNOWN":
        return OWN
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise _malformed("a version 1 header of another form")
    version = int(words[1][-1])
    return ProxyHeader(
        (_address(words[2], version), _port(words[4])),
        (_address(words[3], version), _port(words[5])),
    )


def _address(text: str, version: int) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError as error:
        raise _malformed("an address that is none") from error
    if found.version != version:
        raise _malformed("an address of the other family")
    return str(found)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:6]) > 65535:
        raise _malformed("a port that is none")
    return int(text)


def _version2(data: bytes) -> ProxyHeader:
    command, family = data[12], data[13]
    if command not in (LOCAL, PROXY):
        raise _malformed(f"version and command {command:#04x}")
    if command == LOCAL:
        return OWN  # the proxy itself, for instance its health check
    if family not in ADDRESS_BYTES:
        raise _malformed(f"address family {family:#04x}")
    at = V2_HEAD + ADDRESS_BYTES[family]
    if at > len(data):
        raise _malformed("a header shorter than its addresses")
    peer, local = _endpoints(data, family)
    certificate = None
    for kind, start, end in _values(data, at, len(data)):
        if kind == TYPE_SSL:
            certificate = _certificate(data, start, end)
        elif kind == TYPE_CRC32C:
            _check(data, start, end)
    return ProxyHeader(peer, local, certificate)


def _endpoints(data: bytes, family: int) -> tuple[Address | None, Address | None]:
    if family not in (TCP4, TCP6):
        return None, None
    width = 4 if family == TCP4 else 16
    at = V2_HEAD
    peer, local = data[at : at + width], data[at + width : at + 2 * width]
    ports = struct.unpack_from("!HH", data, at + 2 * width)
    return (str(ipaddress.ip_address(peer)), ports[0]), (
        str(ipaddress.ip_address(local)),
        ports[1],
    )


def _values(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, start, end) of each type-length-value."""
    while at < end:
        if at + 3 > end:
            raise _malformed("a value without a length")
        start = at + 3
        stop = start + int.from_bytes(data[at + 1 : start], "big")
        if stop > end:
            raise _malformed("a value longer than the header")
        yield data[at], start, stop
        at = stop


def _certificate(data: bytes, start: int, end: int) -> PeerCertificate | None:
    """Return the client's certificate where the proxy verified one (section 2.2.6)."""
    if end - start < 5:
        raise _malformed("a TLS value without its flags")
    flags, verified = struct.unpack_from("!BI", data, start)
    name = ""
    for kind, at, stop in _values(data, start + 5, end):
        if kind == SUBTYPE_CN:
            name = data[at:stop].decode("utf-8", "replace")
    # The result of the verification is 0 also where no certificate was shown.
    if verified or not flags & SSL_USED or not flags & CERTIFICATE_SHOWN or not name:
        return None
    return PeerCertificate(name, (), "")


def _check(data: bytes, start: int, end: int) -> None:
    if end - start != 4 or _crc32c(data[:start] + b"\0\0\0\0" + data[end:]) != int.from_bytes(
        data[start:end], "big"
    ):
        raise _malformed("a checksum that is wrong")


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _malformed(what: str) -> MalformedFrameError:
    return MalformedFrameError(
        f"a proxy sent {what}",
        code="GW-1120",
        hint="let the proxy send the PROXY protocol (HAProxy: `send-proxy-v2`), or set proxy_protocol = false",
    )
