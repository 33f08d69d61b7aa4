"""Our broker by itself: `python -m scripts._bench._broker.our_server PORT USERS plain|uvloop [JOURNAL]`.

Its clients are USERs with fifty grants, of which one opens the topics of the load.  A few users are the local users
of a node (scrypt, and a keyed hash for those who come again); ten thousand are checked by a keyed hash, as device
tokens are, for nobody waits ten minutes for scrypt.
"""

import asyncio
import contextlib
import hmac
import importlib
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from gateway.app.logins import LocalUsers, User, hashed
from gateway.app.stores import LOG_PAGE_BYTES
from gateway.broker.limits import Limits
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.mqtt.ports import Authenticator, Credentials, Grant, Principal, PrincipalKind, Rejected
from gateway.runtime.clock import SystemClock
from gateway.store.committer import Committer
from gateway.store.mqtt_journal import SqliteJournal

MOST_CONNECTIONS = 20_000
GRANTS = 50
FEW = 100  # users; above it scrypt at start takes too long
WRONG = Rejected(4, "bad user name or password")


def grants() -> tuple[Grant, ...]:
    """Return fifty grants; the last one opens what the load uses."""
    others = [
        Grant(f"home/area{i}/+/set", write=True) if i % 2 else Grant(f"plant{i}/#", read=True)
        for i in range(GRANTS - 1)
    ]
    return (*others, Grant("load/#", read=True, write=True))


def local_users(count: int) -> Authenticator:
    """Return the users of a node, each with a password."""
    opened, salt = grants(), secrets.token_bytes(16)
    return LocalUsers(
        {
            name: User(name, salt, hashed(f"secret-{i}".encode(), salt), opened, frozenset())
            for i, name in enumerate(f"bench-{i}" for i in range(count))
        }
    )


class KeyedUsers:
    """Matches `mqtt.ports.Authenticator`: a keyed hash of each password."""

    def __init__(self, count: int) -> None:
        self._key = secrets.token_bytes(32)
        self._grants = grants()
        self._known = {f"bench-{i}": self._hash(f"secret-{i}".encode()) for i in range(count)}

    def _hash(self, password: bytes) -> bytes:
        return hmac.digest(self._key, password, "sha256")

    def __call__(
        self, credentials: Credentials, done: Callable[[Principal | Rejected], None]
    ) -> None:
        """Judge a login."""
        name = credentials.username or ""
        known = self._known.get(name, b"")
        if hmac.compare_digest(known, self._hash(credentials.password or b"")):
            done(Principal(PrincipalKind.USER, name, self._grants))
        else:
            done(WRONG)


async def open_journal(stack: contextlib.AsyncExitStack, folder: Path) -> SqliteJournal:
    """Open a node's log.db as a node does (WAL, synchronous=FULL); `stack` closes it."""
    log = Committer(folder / "log.db", "log", page_size=LOG_PAGE_BYTES, auto_vacuum=True)
    await log.open()
    stack.push_async_callback(log.close)
    return SqliteJournal(log, clock=SystemClock())


async def main(port: int, users: int, journal_folder: Path | None) -> None:
    """Serve until ended."""
    authenticate = local_users(users) if users <= FEW else KeyedUsers(users)
    limits = Limits(connections=MOST_CONNECTIONS)
    async with contextlib.AsyncExitStack() as stack:
        journal = await open_journal(stack, journal_folder) if journal_folder else None
        broker = Broker(authenticate, limits=limits, journal=journal)
        if journal is not None:
            broker.restore(await journal.load(), lambda _: None)
        async with asyncio.TaskGroup() as group:
            listener = Listener(broker, ListenerSpec("bench", ("127.0.0.1",), port))
            group.create_task(listener.run())
            group.create_task(broker.run())


if __name__ == "__main__":
    folder = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    serving = main(int(sys.argv[1]), int(sys.argv[2]), folder)
    if sys.argv[3] == "uvloop":
        importlib.import_module("uvloop").run(serving)
    else:
        asyncio.run(serving)
