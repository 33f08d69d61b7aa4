"""Device documents and their tokens in state.db; semantics of search and update are the callers' pure functions."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.model import AccessRecord, DeviceUuid, Document
from gateway.model.ports import SearchQuery, TokenRecord, UpdateProgram
from gateway.model.whitelist import compiled
from gateway.store.committer import Committer


class SqliteDevices:
    """Matches `model.ports.DeviceRepository`."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def get(self, uuid: DeviceUuid) -> Document | None:
        """Return the document, or None."""
        return await self._committer.read(lambda c: _document(c, uuid))

    async def insert(self, document: Document, tokens: Sequence[TokenRecord] = ()) -> None:
        """Store a new device with its tokens; raises KeyError when the uuid is taken."""
        text = _text(document)

        def work(connection: sqlite3.Connection) -> None:
            if not insert_device(connection, document["uuid"], text):
                raise KeyError(document["uuid"])
            _insert_tokens(connection, tokens)

        await asyncio.shield(self._committer.transaction(work))

    async def update(
        self, uuid: DeviceUuid, program: UpdateProgram
    ) -> tuple[Document, Document] | None:
        """Apply `program` inside one transaction; return (before, after), or None for an unknown device."""

        def work(connection: sqlite3.Connection) -> tuple[Document, Document] | None:
            before = _document(connection, uuid)
            if before is None:
                return None
            private = _document(connection, uuid)
            assert private is not None
            after = program(private)
            if after is None or after == before:
                return before, before
            if after.get("uuid") != uuid:
                msg = f"an update of {uuid} must keep its uuid"
                raise ValueError(msg)
            connection.execute(
                "UPDATE devices SET document = ?, version = ? WHERE uuid = ?",
                (_text(after), _next_version(connection), uuid),
            )
            return before, after

        return await asyncio.shield(self._committer.transaction(work))

    async def delete(self, uuid: DeviceUuid) -> Document | None:
        """Remove the device and all its tokens; return the last document."""
        return await asyncio.shield(self._committer.transaction(lambda c: delete_device(c, uuid)))

    async def search(self, query: SearchQuery) -> Sequence[Document]:
        """Return matching documents, newest first."""

        def work(connection: sqlite3.Connection) -> list[Document]:
            found: list[Document] = []
            for (text,) in connection.execute("SELECT document FROM devices ORDER BY id DESC"):
                if len(found) >= query.limit:
                    break
                document: Document = json.loads(text)
                if query.matches(document):
                    found.append(document)
            return found

        return await self._committer.read(work)

    async def access_records(
        self, uuids: Sequence[DeviceUuid]
    ) -> Mapping[DeviceUuid, AccessRecord]:
        """Return the access records of those that exist, in one query; expired tokens are none."""
        wanted = json.dumps(list(uuids))

        def work(connection: sqlite3.Connection) -> dict[DeviceUuid, AccessRecord]:
            rows = connection.execute(
                "SELECT uuid, version, document, (SELECT group_concat(hex(hash)) FROM tokens"
                " WHERE tokens.uuid = devices.uuid AND (expires_ms IS NULL"
                " OR expires_ms > 1000 * CAST(strftime('%s', 'now') AS INTEGER)))"
                " FROM devices WHERE uuid IN (SELECT value FROM json_each(?))",
                (wanted,),
            )
            return {DeviceUuid(row[0]): _access_record(*row) for row in rows}

        return await self._committer.read(work)


class SqliteTokens:
    """Matches `model.ports.TokenRepository`."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def add(self, token: TokenRecord) -> None:
        """Store one token; raises KeyError when there is no such device."""

        def work(connection: sqlite3.Connection) -> None:
            if not _touch(connection, token.uuid):
                raise KeyError(token.uuid)
            _insert_tokens(connection, [token])

        await asyncio.shield(self._committer.transaction(work))

    async def of(self, uuid: DeviceUuid) -> Sequence[TokenRecord]:
        """Return the tokens of a device."""
        return await self._committer.read(lambda c: _tokens(c, uuid))

    async def remove(self, uuid: DeviceUuid, matches: Callable[[TokenRecord], bool]) -> int:
        """Remove the tokens that match; return how many went."""

        def work(connection: sqlite3.Connection) -> int:
            gone = [token for token in _tokens(connection, uuid) if matches(token)]
            connection.executemany(
                "DELETE FROM tokens WHERE uuid = ? AND hash = ?",
                [(uuid, token.hash) for token in gone],
            )
            if gone:
                _touch(connection, uuid)
            return len(gone)

        return await asyncio.shield(self._committer.transaction(work))


def insert_device(connection: sqlite3.Connection, uuid: str, text: str) -> bool:
    """Store a document unless its uuid is taken; returns whether it was stored."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO devices (uuid, version, document) VALUES (?, ?, ?)",
        (uuid, _next_version(connection), text),
    )
    return cursor.rowcount == 1


def delete_device(connection: sqlite3.Connection, uuid: DeviceUuid) -> Document | None:
    """Remove a device with its tokens; return its last document."""
    document = _document(connection, uuid)
    connection.execute("DELETE FROM devices WHERE uuid = ?", (uuid,))
    return document


def _text(document: Document) -> str:
    # ASCII: a lone surrogate, which JSON may hold, is no text for SQLite.
    return json.dumps(document, separators=(",", ":"))


def _document(connection: sqlite3.Connection, uuid: DeviceUuid) -> Document | None:
    row = connection.execute("SELECT document FROM devices WHERE uuid = ?", (uuid,)).fetchone()
    if row is None:
        return None
    document: Document = json.loads(row[0])
    return document


def _next_version(connection: sqlite3.Connection) -> int:
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'version'")
    row = connection.execute("SELECT value FROM counters WHERE name = 'version'").fetchone()
    return int(row[0])


def _touch(connection: sqlite3.Connection, uuid: DeviceUuid) -> bool:
    cursor = connection.execute(
        "UPDATE devices SET version = ? WHERE uuid = ?", (_next_version(connection), uuid)
    )
    return cursor.rowcount == 1


def _insert_tokens(connection: sqlite3.Connection, tokens: Sequence[TokenRecord]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO tokens (uuid, hash, metadata, is_root, expires_ms)"
        " VALUES (?, ?, ?, ?, ?)",
        [
            (t.uuid, t.hash, json.dumps(dict(t.metadata)), int(t.is_root), t.expires_ms)
            for t in tokens
        ],
    )


def _tokens(connection: sqlite3.Connection, uuid: DeviceUuid) -> list[TokenRecord]:
    rows = connection.execute(
        "SELECT uuid, hash, metadata, is_root, expires_ms FROM tokens WHERE uuid = ?", (uuid,)
    )
    return [
        TokenRecord(DeviceUuid(row[0]), row[1], _metadata(row[2]), bool(row[3]), row[4])
        for row in rows
    ]


def _metadata(text: str) -> Mapping[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value


def _access_record(uuid: str, version: int, text: str, hashes: str | None) -> AccessRecord:
    return AccessRecord(
        DeviceUuid(uuid),
        compiled(json.loads(text)),
        frozenset(bytes.fromhex(part) for part in (hashes or "").split(",") if part),
        version,
    )
