"""Local users of the broker: names with passwords and roles, checked away from the event loop.

A password file holds either one line `scrypt:<salt hex>:<hash hex>` or the password itself.  scrypt takes about
50 ms and 16 MiB, so one worker thread does it, at most four logins wait, and a right password is remembered
(as a keyed hash) so that a reconnecting client costs nothing.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import ConfigError
from gateway.mqtt.ports import Credentials, Grant, Principal, PrincipalKind, Rejected

log = logging.getLogger(__name__)

SCRYPT_N, SCRYPT_R, SCRYPT_P = 1 << 14, 8, 1
SALT_BYTES, HASH_BYTES = 16, 64
MOST_WAITING = 4
BAD_CREDENTIALS = Rejected(4, "bad user name or password")
BUSY = Rejected(3, "too many logins are being checked; try again")


@dataclass(frozen=True, slots=True)
class User:
    """A local user; `secret` is (salt, scrypt hash)."""

    name: str
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    grants: tuple[Grant, ...]
    roles: frozenset[str]


def hashed(password: bytes, salt: bytes) -> bytes:
    """Return the scrypt hash that is kept of a password."""
    return hashlib.scrypt(password, salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, maxmem=1 << 26)


def hash_line(password: str) -> str:
    """Return the line that a password file may hold instead of the password."""
    salt = secrets.token_bytes(SALT_BYTES)
    return f"scrypt:{salt.hex()}:{hashed(password.encode(), salt).hex()}"


def user_from_file(name: str, path: Path, grants: tuple[Grant, ...], roles: frozenset[str]) -> User:
    """Read a user's password file; raises ConfigError GW-1808 that names it."""
    try:
        salt, digest = _secret(path.read_text("utf-8").strip())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the password file {path} of MQTT user {name!r} cannot be used: {error}",
            code="GW-1808",
            hint="write the password into that file and make it readable for the gateway alone (chmod 600)",
        ) from error
    return User(name, salt, digest, grants, roles)


def parsed_hash(line: str) -> tuple[bytes, bytes]:
    """Return (salt, hash) of a line of `hash_line`; raises ValueError."""
    scheme, salt, digest = line.split(":")
    found = bytes.fromhex(salt), bytes.fromhex(digest)
    if scheme != "scrypt" or len(found[0]) < SALT_BYTES or len(found[1]) != HASH_BYTES:
        raise ValueError("it is no hash of a password")
    return found


def _secret(text: str) -> tuple[bytes, bytes]:
    if text.startswith("scrypt:"):
        return parsed_hash(text)
    if not text:
        raise ValueError("it is empty")
    fresh = secrets.token_bytes(SALT_BYTES)
    return fresh, hashed(text.encode(), fresh)


class LocalUsers:
    """Matches `mqtt.ports.Authenticator` for names that are not uuid-shaped."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = dict(users)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="login")
        self._waiting = 0
        self._key = secrets.token_bytes(32)
        self._proved: dict[str, bytes] = {}
        self._nobody = User("", secrets.token_bytes(SALT_BYTES), b"", (), frozenset())

    def __call__(
        self, credentials: Credentials, done: Callable[[Principal | Rejected], None]
    ) -> None:
        """Check a login; an unknown name takes as long as a wrong password."""
        name, password = credentials.username, credentials.password
        if not name or password is None:
            done(BAD_CREDENTIALS)
            return
        user = self._users.get(name, self._nobody)
        quick = hmac.digest(self._key, name.encode() + b"\0" + password, "sha256")
        if hmac.compare_digest(self._proved.get(name, b""), quick):
            done(principal_of(user))
            return
        if self._waiting >= MOST_WAITING:
            done(BUSY)
            return
        self._waiting += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, hashed, password, user.salt)

        def judged(result: "asyncio.Future[bytes]") -> None:
            self._waiting -= 1
            is_right = not result.cancelled() and hmac.compare_digest(result.result(), user.hash)
            if is_right and self._users.get(name) is user:  # and not changed meanwhile
                self._proved[name] = quick
                done(principal_of(user))
            else:
                done(BAD_CREDENTIALS)

        future.add_done_callback(judged)

    def find(self, name: str) -> Principal | None:
        """Return who a user is, for whoever proves it by other means than the password."""
        user = self._users.get(name)
        return None if user is None else principal_of(user)

    def put(self, user: User) -> None:
        """Take a user, new or changed: from now on only its new password and roles count."""
        self._users[user.name] = user
        self._proved.pop(user.name, None)

    def drop(self, name: str) -> None:
        """Let nobody in by this name any more."""
        self._users.pop(name, None)
        self._proved.pop(name, None)

    def close(self) -> None:
        """End the worker thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def principal_of(user: User) -> Principal:
    """Return what a user is once logged in."""
    return Principal(PrincipalKind.USER, user.name, user.grants, user.roles)
