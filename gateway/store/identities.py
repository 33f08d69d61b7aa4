"""Hardware ids and the mesh devices they are (state.db); when each was last heard is written now and then."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.model import Clock, DeviceUuid, Document, HardwareId, Identity
from gateway.store.committer import Committer
from gateway.store.registry_sqlite import delete_device, insert_device

SEEN_EVERY_MS = 60_000  # last-seen times lose at most this much to a crash


class SqliteIdentities:
    """Matches `model.ports.IdentityRepository`."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock
        self._seen: dict[DeviceUuid, tuple[int, str]] = {}  # not written yet
        self._written_ms: int | None = None  # uptime
        committer.on_commit(self._prepare, _nobody_waits)

    async def close(self) -> None:
        """Write the last-seen times that wait."""
        if self._seen:
            rows, self._seen = self._rows(), {}
            await asyncio.shield(self._committer.transaction(lambda c: _write_seen(c, rows)))

    async def all(self) -> Sequence[Identity]:
        """Return every identity of this gateway, oldest claim first."""
        found = await self._committer.read(_all)
        return [
            replace(identity, last_seen_ms=seen[0], link=seen[1])
            if (seen := self._seen.get(identity.uuid)) is not None
            else identity
            for identity in found
        ]

    async def claim(self, identity: Identity, document: Document) -> Identity:
        """Store identity and device in one transaction; return the older one where the hardware is known.

        Raises KeyError when the slug belongs to another device.
        """
        text = json.dumps(document, separators=(",", ":"))

        def work(connection: sqlite3.Connection) -> Identity:
            known = _one(connection, hardware_id=identity.hardware_id)
            if known is not None:
                return known
            _refuse_taken_slug(connection, identity.slug, identity.uuid)
            insert_device(connection, identity.uuid, text)
            connection.execute(
                "INSERT INTO identities (hardware_id, uuid, slug, driver, link, claimed_ms,"
                " last_seen_ms, is_demo) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    identity.hardware_id,
                    identity.uuid,
                    identity.slug,
                    identity.driver,
                    identity.link,
                    identity.claimed_ms,
                    identity.last_seen_ms,
                    int(identity.is_demo),
                ),
            )
            return identity

        return await asyncio.shield(self._committer.transaction(work))

    async def rename(self, uuid: DeviceUuid, slug: str) -> Identity:
        """Change the slug; raises KeyError when it is taken or the device is unknown."""

        def work(connection: sqlite3.Connection) -> Identity:
            known = _one(connection, uuid=uuid)
            if known is None:
                raise KeyError(uuid)
            _refuse_taken_slug(connection, slug, uuid)
            connection.execute("UPDATE identities SET slug = ? WHERE uuid = ?", (slug, uuid))
            return replace(known, slug=slug)

        return await asyncio.shield(self._committer.transaction(work))

    async def forget(self, uuid: DeviceUuid) -> Identity | None:
        """Remove identity and device; return what was there."""
        self._seen.pop(uuid, None)

        def work(connection: sqlite3.Connection) -> Identity | None:
            known = _one(connection, uuid=uuid)
            if known is not None:
                connection.execute("DELETE FROM identities WHERE uuid = ?", (uuid,))
                delete_device(connection, uuid)
            return known

        return await asyncio.shield(self._committer.transaction(work))

    def seen(self, uuid: DeviceUuid, wall_ms: int, link: str) -> None:
        """Note that a device was heard; written at most once a minute, and at stop."""
        if not self._seen:
            self._committer.within(self._wait_ms() / 1000)
        self._seen[uuid] = (wall_ms, link)

    def _wait_ms(self) -> int:
        if self._written_ms is None:
            return SEEN_EVERY_MS
        return max(0, self._written_ms + SEEN_EVERY_MS - self._clock.uptime_ms())

    def _prepare(self) -> Callable[[sqlite3.Connection], None] | None:
        if not self._seen:
            return None
        if self._written_ms is None:
            self._written_ms = self._clock.uptime_ms() - SEEN_EVERY_MS
        wait_ms = self._wait_ms()
        if wait_ms > 0 and not self._committer.is_closing:
            self._committer.within(wait_ms / 1000)
            return None
        rows, self._seen = self._rows(), {}
        self._written_ms = self._clock.uptime_ms()
        return lambda connection: _write_seen(connection, rows)

    def _rows(self) -> list[tuple[int, str, DeviceUuid]]:
        return [(wall_ms, link, uuid) for uuid, (wall_ms, link) in self._seen.items()]


def _write_seen(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, str, DeviceUuid]]
) -> None:
    connection.executemany("UPDATE identities SET last_seen_ms = ?, link = ? WHERE uuid = ?", rows)


def _all(connection: sqlite3.Connection) -> list[Identity]:
    return [
        _identity(row)
        for row in connection.execute(
            "SELECT hardware_id, uuid, slug, driver, link, claimed_ms, last_seen_ms, is_demo"
            " FROM identities ORDER BY claimed_ms, hardware_id"
        )
    ]


def _one(
    connection: sqlite3.Connection,
    *,
    hardware_id: HardwareId | None = None,
    uuid: DeviceUuid | None = None,
) -> Identity | None:
    row = connection.execute(
        "SELECT hardware_id, uuid, slug, driver, link, claimed_ms, last_seen_ms, is_demo"
        " FROM identities WHERE hardware_id = ? OR uuid = ?",
        (hardware_id, uuid),
    ).fetchone()
    return _identity(row) if row is not None else None


def _identity(row: tuple[str, str, str, str, str, int, int | None, int]) -> Identity:
    return Identity(
        HardwareId(row[0]), DeviceUuid(row[1]), row[2], row[3], row[4], row[5], row[6], bool(row[7])
    )


def _refuse_taken_slug(connection: sqlite3.Connection, slug: str, uuid: DeviceUuid) -> None:
    row = connection.execute("SELECT uuid FROM identities WHERE slug = ?", (slug,)).fetchone()
    if row is not None and row[0] != uuid:
        raise KeyError(slug)


def _nobody_waits() -> None:
    """Do nothing after a commit: last-seen times have no waiter."""
