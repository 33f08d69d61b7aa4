"""The node's own server certificate: signed by its own CA, renewed by itself, its key the same for life.

Children know a parent by that key (`key_pin`), so a renewed certificate is the same parent to them.  A state directory
of before the CA holds a self-signed `tls/node.crt` that children pinned as a whole; it is still shown to whoever names
no host, as those children do, until somebody removes it.
"""

import hashlib
import json
import logging
import ssl
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError
from gateway.runtime.files import write_atomically
from gateway.uplink.authority import Authority, now_s, unusable
from gateway.uplink.machine_names import MachineNames, names_of_this_machine

log = logging.getLogger(__name__)

RENEW_BEFORE_S = 60 * 86_400


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a DER certificate as 64 hex digits."""
    return hashlib.sha256(der).hexdigest()


def fingerprint_of(pem: str) -> str:
    """Return the SHA-256 of the first certificate in a PEM text."""
    return fingerprint(_first(pem))


def key_pin(der: bytes) -> str:
    """Return the SHA-256 of the public key (SubjectPublicKeyInfo, as RFC 7469) in a DER certificate; "": no certificate.

    TLS has proved that the peer holds that key, so who shows it is who was agreed on, whatever else is certified.
    """
    try:
        _, at, _ = _element(der, 0)  # Certificate
        _, at, _ = _element(der, at)  # TBSCertificate
        tag, _, end = _element(der, at)
        at = end if tag == 0xA0 else at  # version
        for _ in range(5):  # serial number, algorithm, issuer, validity, subject
            at = _element(der, at)[2]
        return hashlib.sha256(der[at : _element(der, at)[2]]).hexdigest()
    except IndexError:
        return ""


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return (tag, start of content, end) of the DER element at an offset; raises IndexError."""
    tag, size, start = der[at], der[at + 1], at + 2
    if size & 0x80:
        width = size & 0x7F
        size = int.from_bytes(der[start : start + width], "big")
        start += width
    if start + size > len(der):
        raise IndexError
    return tag, start, start + size


@dataclass(frozen=True, slots=True)
class _Files:
    """Where everything lies."""

    key: Path
    chain: Path  # the certificate, then the CA's
    said: Path  # JSON: what the certificate says, so that nobody need parse it
    legacy: Path

    @classmethod
    def of(cls, state_dir: Path) -> "_Files":
        tls = state_dir / "tls"
        return cls(
            state_dir / "secrets" / "node.key",
            tls / "server.crt",
            tls / "server.json",
            tls / "node.crt",
        )


class OwnCertificate:
    """Makes the server certificate, renews it, and gives TLS contexts that show it."""

    def __init__(
        self,
        state_dir: Path,
        more_names: Sequence[str] = (),
        names: Callable[[Sequence[str]], MachineNames] = names_of_this_machine,
    ) -> None:
        """`more_names`: names or addresses that this machine does not know of itself."""
        self.authority = Authority(state_dir)
        self._files = _Files.of(state_dir)
        self._more_names = tuple(more_names)
        self._names_now = names
        self._is_told = False  # that it could not be renewed
        self._contexts: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()

    def context(self, prepare: Callable[[ssl.SSLContext], None] = lambda _: None) -> ssl.SSLContext:
        """Return the context of a TLS listener; raises ConfigError (GW-1612). `prepare` may ask for client certificates."""
        self.keep_up()
        context = self._showing(self._files.chain, prepare)
        self._contexts.add(context)
        if not self._files.legacy.exists():
            return context
        legacy = self._showing(self._files.legacy, prepare)

        def choose(session: Any, host: str | None, _context: ssl.SSLContext) -> None:
            if host is not None:
                session.context = context

        legacy.sni_callback = choose
        return legacy

    @property
    def legacy(self) -> Path | None:
        """Return the certificate of before the CA, where there is one."""
        return self._files.legacy if self._files.legacy.exists() else None

    def is_due(self) -> bool:
        """Return whether the certificate ends soon, is not valid yet, or lacks a name that this machine has now."""
        said = self._said()
        if said is None:
            return True
        now = now_s()
        names = MachineNames(tuple(said["dns"]), tuple(said["addresses"]))
        is_timely = said["from_s"] <= now < said["until_s"] - RENEW_BEFORE_S
        return not is_timely or not names.covers(self._names())

    def renew(self) -> bool:
        """Make the certificate where that is due; returns whether it did. Blocks for as long as a key takes to make."""
        self._check_halves()
        if not self.is_due():
            return False
        files, names = self._files, self._names()
        authority = self.authority.ready()
        key = files.key.read_text("ascii") if files.key.exists() else None
        made = self.authority.sign_server(names, key)
        if key is None:
            files.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(files.key, made["key"].encode())
        chain = made["certificate"] + authority.read_text("ascii")
        write_atomically(files.chain, chain.encode(), mode=0o644)
        said = {
            "dns": names.dns,
            "addresses": names.addresses,
            "from_s": made["from_s"],
            "until_s": made["until_s"],
            "sha256": fingerprint(_der(files.chain)),
        }
        write_atomically(files.said, json.dumps(said, indent=2).encode() + b"\n", mode=0o644)
        return True

    def keep_up(self) -> bool:
        """Renew; where that cannot be (the CA's key is elsewhere), a certificate that is valid still serves on."""
        try:
            return self.renew()
        except ConfigError as error:
            self._check_halves()
            said, now = self._said(), now_s()
            if said is None or not said["from_s"] <= now < said["until_s"]:
                raise
            if not self._is_told:
                self._is_told = True
                days = (said["until_s"] - now) // 86_400
                log.warning(
                    "certificate not renewed; the one of before serves on",
                    extra={"code": error.code, "error": error.text, "days_left": days},
                )
            return False

    def reload(self) -> None:
        """Let new connections see a renewed certificate; call it where connections are accepted."""
        for context in self._contexts:
            self._load(context, self._files.chain)

    def pin(self) -> str:
        """Return what children pin: the fingerprint of the public key."""
        if not self._files.chain.exists():
            self.renew()
        try:
            return key_pin(_der(self._files.chain))
        except (OSError, ValueError) as error:
            raise unusable(self._files.chain, str(error)) from error

    def _names(self) -> MachineNames:
        return self._names_now(self._more_names)

    def _said(self) -> dict[str, Any] | None:
        """Return what the certificate says; None where there is none, another or a damaged one: it is made again."""
        try:
            said = json.loads(self._files.said.read_text("utf-8"))
            same = said["sha256"] == fingerprint(_der(self._files.chain))
            return (
                said if same and {"dns", "addresses", "from_s", "until_s"} <= said.keys() else None
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _check_halves(self) -> None:
        files = self._files
        if not files.key.exists():
            for other in (files.legacy, files.chain):
                if other.exists():
                    raise unusable(files.key, "it is missing, but its other half is there")

    def _showing(self, chain: Path, prepare: Callable[[ssl.SSLContext], None]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        prepare(context)
        self._load(context, chain)
        return context

    def _load(self, context: ssl.SSLContext, chain: Path) -> None:
        try:
            context.load_cert_chain(chain, self._files.key)
        except (OSError, ssl.SSLError) as error:
            raise unusable(chain, str(error)) from error


def _der(path: Path) -> bytes:
    """Return the first certificate of a PEM file; raises OSError, ValueError."""
    return _first(path.read_text("ascii"))


def _first(pem: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)])


def own_fingerprint(state_dir: Path) -> str:
    """Return what children of this node pin; its certificate is made now if there is none."""
    return OwnCertificate(state_dir).pin()


def server_context(state_dir: Path) -> ssl.SSLContext:
    """Return a context that shows this node's certificate; raises ConfigError (GW-1612)."""
    return OwnCertificate(state_dir).context()
