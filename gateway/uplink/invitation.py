"""Invitations: one line that names a parent, its certificate and a code for one use."""

import hashlib
import ipaddress
import re
import secrets
from dataclasses import dataclass, field

from gateway.errors import ConfigError

PREFIX = "gateway-join1"
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # nothing that is read as something else
CODE_LENGTH = 12  # log2(31) * 12 = 59 bits
VALID_MS = 3_600_000
PLAIN = "plain"

_CODE = re.compile(f"[{ALPHABET}]{{{CODE_LENGTH}}}")
_LINE = re.compile(
    rf"{PREFIX}:(?P<host>\[[^\]]+\]|[^:\s]+):(?P<port>\d{{1,5}}):(?P<pin>[^:\s]+):(?P<code>[^:\s]+)"
)


@dataclass(frozen=True, slots=True)
class Invite:
    """A parent as a child needs to know it, and the one-time code."""

    host: str
    port: int
    fingerprint: str | None  # None: plain, on loopback only
    code: str = field(repr=False)

    @property
    def line(self) -> str:
        """Return the line that `gateway join` takes."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        code = "-".join(self.code[at : at + 4] for at in range(0, CODE_LENGTH, 4))
        return f"{PREFIX}:{host}:{self.port}:{self.fingerprint or PLAIN}:{code}"

    @property
    def code_hash(self) -> bytes:
        """Return what the parent keeps of the code."""
        return code_hash(self.code)


def new_invite(host: str, port: int, fingerprint: str | None) -> Invite:
    """Draw an invitation; keep its hash with `Children.invite` until now + VALID_MS."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    return Invite(host, port, fingerprint, code)


def normalised_code(text: str) -> str:
    """Return a code as it is hashed: upper case, without the dashes that help to read it."""
    return text.replace("-", "").upper()


def code_hash(code: str) -> bytes:
    """Return the hash of a code. 59 random bits need no slow hash."""
    return hashlib.sha256(normalised_code(code).encode()).digest()


def parse_line(text: str) -> Invite:
    """Read a join line; raises ConfigError (GW-1605 mistyped, GW-1606 plain to another machine)."""
    match = _LINE.fullmatch(text.strip())
    if match is None:
        raise _unusable("it is not of the form gateway-join1:HOST:PORT:FINGERPRINT:CODE")
    host, port = match["host"].strip("[]"), int(match["port"])
    pin, code = match["pin"].lower(), normalised_code(match["code"])
    if not 0 < port < 65536:
        raise _unusable(f"{port} is no port")
    if pin != PLAIN and not re.fullmatch("[0-9a-f]{64}", pin):
        raise _unusable("its fingerprint is not 64 hex digits")
    if not _CODE.fullmatch(code):
        raise _unusable(f"its code is not {CODE_LENGTH} letters and digits (no 0, 1, I, L, O)")
    if pin == PLAIN and not is_loopback(host):
        raise ConfigError(
            f"the join line goes to {host} without a certificate",
            code="GW-1606",
            hint="switch on TLS at the parent and run `gateway mesh invite` there again",
        )
    return Invite(host, port, None if pin == PLAIN else pin, code)


def is_loopback(host: str) -> bool:
    """Return whether an address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _unusable(why: str) -> ConfigError:
    return ConfigError(
        f"the join line cannot be used: {why}",
        code="GW-1605",
        hint="copy the whole line that `gateway mesh invite` printed at the parent",
    )
