"""Local users of the broker with the hashes of their passwords and their roles (state.db)."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.store.committer import Committer


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user as it is kept; the password itself is nowhere."""

    name: str
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    roles: tuple[str, ...]
    created_ms: int


class SqliteUsers:
    """The table of users; each change is on disk when its method returns."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def all(self) -> Sequence[UserRow]:
        """Return every user, by name."""
        return await self._committer.read(
            lambda c: [_row(found) for found in c.execute(f"{SELECT} ORDER BY name")]
        )

    async def add(self, user: UserRow) -> bool:
        """Keep a new user; False when the name is taken."""

        def work(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO users (name, salt, hash, roles, created_ms)"
                " VALUES (?, ?, ?, ?, ?)",
                (user.name, user.salt, user.hash, json.dumps(user.roles), user.created_ms),
            )
            return cursor.rowcount == 1

        return await asyncio.shield(self._committer.transaction(work))

    async def set_roles(self, name: str, roles: Sequence[str]) -> UserRow | None:
        """Replace a user's roles; returns the user as it is now, or None for an unknown name."""
        return await self._change(
            "UPDATE users SET roles = ? WHERE name = ?", json.dumps(roles), name
        )

    async def set_secret(self, name: str, salt: bytes, digest: bytes) -> UserRow | None:
        """Replace a user's password hash; returns the user as it is now, or None for an unknown name."""
        return await self._change(
            "UPDATE users SET salt = ?, hash = ? WHERE name = ?", salt, digest, name
        )

    async def remove(self, name: str) -> bool:
        """Remove a user; False for an unknown name."""

        def work(connection: sqlite3.Connection) -> bool:
            return connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount == 1

        return await asyncio.shield(self._committer.transaction(work))

    async def _change(self, statement: str, *values: object) -> UserRow | None:
        def work(connection: sqlite3.Connection) -> UserRow | None:
            connection.execute(statement, values)
            found = connection.execute(f"{SELECT} WHERE name = ?", (values[-1],)).fetchone()
            return None if found is None else _row(found)

        return await asyncio.shield(self._committer.transaction(work))


SELECT = "SELECT name, salt, hash, roles, created_ms FROM users"


def _row(found: tuple[str, bytes, bytes, str, int]) -> UserRow:
    name, salt, digest, roles, created_ms = found
    return UserRow(name, salt, digest, tuple(json.loads(roles)), created_ms)
