"""What a server sent, read by the letter of the standards: anything it may not send is an AssertionError."""

import struct
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.raw_packets import (
    AUTH,
    CODES_3,
    CODES_5,
    CONNACK,
    DISCONNECT,
    FROM_SERVER,
    KINDS,
    NAMES,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Prop,
)

SENT_BY_SERVERS = {CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, PINGRESP}
SENT_IN_5 = SENT_BY_SERVERS | {DISCONNECT, AUTH}


@dataclass(frozen=True)
class Packet:
    """One packet of a server; what its kind does not have is empty."""

    kind: int
    flags: int
    body: bytes
    number: int = 0
    codes: tuple[int, ...] = ()
    is_present: bool = False
    topic: str = ""
    payload: bytes = b""
    properties: dict[int, Any] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """Return the only code."""
        assert len(self.codes) == 1, f"{self} has {len(self.codes)} codes"
        return self.codes[0]

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def retain(self) -> bool:
        return bool(self.flags & 1)

    @property
    def dup(self) -> bool:
        return bool(self.flags & 8)

    def __str__(self) -> str:
        told = f"{NAMES[self.kind]} flags={self.flags:#x}"
        if self.number:
            told += f" number={self.number}"
        if self.codes:
            told += f" codes={[hex(code) for code in self.codes]}"
        if self.kind == PUBLISH:
            told += f" {self.topic!r} = {self.payload[:60]!r}"
        return told + (f" {self.properties}" if self.properties else "")


class _Body:
    """A cursor over a packet's body."""

    def __init__(self, raw: bytes, what: str) -> None:
        self.raw = raw
        self.at = 0
        self.what = what

    @property
    def left(self) -> int:
        return len(self.raw) - self.at

    def take(self, size: int) -> bytes:
        assert self.left >= size, f"a {self.what} cut short: {self.raw!r}"
        self.at += size
        return self.raw[self.at - size : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def two(self) -> int:
        return int(struct.unpack("!H", self.take(2))[0])

    def four(self) -> int:
        return int(struct.unpack("!I", self.take(4))[0])

    def binary(self) -> bytes:
        return self.take(self.two())

    def text(self) -> str:
        value = self.binary().decode()  # UnicodeDecodeError fails the test as it should
        assert "\0" not in value, f"U+0000 in a {self.what}"
        return value

    def pair(self) -> tuple[str, str]:
        return self.text(), self.text()

    def varint(self) -> int:
        value = shift = 0
        while True:
            digit = self.byte()
            value |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                assert digit or shift == 7, f"a length not in its shortest form in a {self.what}"
                return value
            assert shift < 28, f"a length of more than four bytes in a {self.what}"

    def properties(self, kind: int) -> dict[int, Any]:
        stop = self.varint() + self.at
        assert stop <= len(self.raw), f"properties longer than their {self.what}"
        found: dict[int, Any] = {}
        while self.at < stop:
            name = self.varint()
            assert name in FROM_SERVER[kind], f"property {name:#x} in a {self.what}"
            value = getattr(self, KINDS[name])()
            if name in {Prop.USER, Prop.SUBSCRIPTION_ID}:
                found.setdefault(name, []).append(value)
            else:
                assert name not in found, f"property {name:#x} twice in a {self.what}"
                found[name] = value
        assert self.at == stop, f"a property reaches out of a {self.what}"
        return found

    def number(self) -> int:
        value = self.two()
        assert value, f"packet id 0 in a {self.what}"
        return value

    def rest(self) -> bytes:
        return self.take(self.left)


def read(first: int, raw: bytes, version: int) -> Packet:
    """Return what a server's packet says; fails when a server may not send it in this version."""
    kind, flags = first >> 4, first & 15
    assert kind in (SENT_IN_5 if version == 5 else SENT_BY_SERVERS), (
        f"a server sent {NAMES[kind]} in version {version}"
    )
    assert kind == PUBLISH or flags == (2 if kind == PUBREL else 0), (
        f"{NAMES[kind]} with flags {flags:#x}"
    )
    body = _Body(raw, NAMES[kind])
    found = Packet(kind, flags, raw, **_FIELDS[kind](body, version, flags))
    assert body.left == 0, f"{body.left} bytes left over in {found}"
    allowed = CODES_5.get(kind) if version == 5 else CODES_3.get(kind)
    for code in found.codes:
        assert allowed is None or code in allowed, f"code {code:#x} in {found}"
    return found


def _connack(body: _Body, version: int, _flags: int) -> dict[str, Any]:
    present, code = body.byte(), body.byte()
    assert present in {0, 1}, f"CONNACK flags {present:#x}"
    assert version != 3 or not present, "session present in MQTT 3.1"
    told: dict[str, Any] = {"is_present": bool(present), "codes": (code,)}
    if version == 5 and (
        code != 1 or body.left
    ):  # code 1 answers a version we did not mean to speak
        told["properties"] = body.properties(CONNACK)
    assert not (present and code), "session present in a refusal"
    return told


def _publish(body: _Body, version: int, flags: int) -> dict[str, Any]:
    qos = flags >> 1 & 3
    assert qos < 3, "PUBLISH with QoS 3"
    assert qos or not flags & 8, "PUBLISH with QoS 0 and DUP"
    topic = body.text()
    told: dict[str, Any] = {"topic": topic, "number": body.number() if qos else 0}
    assert not set("#+") & set(topic), f"a wildcard in a PUBLISH: {topic!r}"
    if version == 5:
        told["properties"] = body.properties(PUBLISH)
    assert topic or Prop.ALIAS in told.get("properties", {}), "PUBLISH with neither topic nor alias"
    return told | {"payload": body.rest()}


def _acknowledgement(kind: int, body: _Body, version: int) -> dict[str, Any]:
    told: dict[str, Any] = {"number": body.number(), "codes": (0,)}
    if version == 5 and body.left:
        told["codes"] = (body.byte(),)
        if body.left:
            told["properties"] = body.properties(kind)
    return told


def _granted(kind: int, body: _Body, version: int) -> dict[str, Any]:
    told: dict[str, Any] = {"number": body.number()}
    if version == 5:
        told["properties"] = body.properties(kind)
    has_codes = kind == SUBACK or version == 5
    return told | {"codes": tuple(body.rest()) if has_codes else ()}


def _reason(kind: int, body: _Body) -> dict[str, Any]:
    told: dict[str, Any] = {"codes": (body.byte() if body.left else 0,)}
    if body.left:
        told["properties"] = body.properties(kind)
    return told


_FIELDS = {
    CONNACK: _connack,
    PUBLISH: _publish,
    PUBACK: lambda body, version, _: _acknowledgement(PUBACK, body, version),
    PUBREC: lambda body, version, _: _acknowledgement(PUBREC, body, version),
    PUBREL: lambda body, version, _: _acknowledgement(PUBREL, body, version),
    PUBCOMP: lambda body, version, _: _acknowledgement(PUBCOMP, body, version),
    SUBACK: lambda body, version, _: _granted(SUBACK, body, version),
    UNSUBACK: lambda body, version, _: _granted(UNSUBACK, body, version),
    PINGRESP: lambda _body, _version, _: {},
    DISCONNECT: lambda body, _version, _: _reason(DISCONNECT, body),
    AUTH: lambda body, _version, _: _reason(AUTH, body),
}
