"""Gateways accepted as children, whose devices are whose, and invitations (state.db)."""

import asyncio
import sqlite3
from collections.abc import Mapping

from gateway.model import DeviceUuid
from gateway.store.committer import Committer


class SqliteChildren:
    """Matches `model.log_ports.Children` over state.db."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    async def all(self) -> Mapping[DeviceUuid, DeviceUuid | None]:
        """Return child uuid -> owner."""
        rows = await self._committer.read(
            lambda c: c.execute("SELECT node, owner FROM children").fetchall()
        )
        return {
            DeviceUuid(node): DeviceUuid(owner) if owner is not None else None
            for node, owner in rows
        }

    async def accept(self, node: DeviceUuid, owner: DeviceUuid | None) -> None:
        """Accept a gateway as a child."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO children (node, owner) VALUES (?, ?)"
                " ON CONFLICT (node) DO UPDATE SET owner = excluded.owner",
                (node, owner),
            )

        await asyncio.shield(self._committer.transaction(work))

    async def remove(self, node: DeviceUuid) -> None:
        """Forget a child; its devices stay, and another gateway may speak for them."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM children WHERE node = ?", (node,))
            connection.execute("DELETE FROM brought WHERE node = ?", (node,))

        await asyncio.shield(self._committer.transaction(work))

    async def brought(self) -> Mapping[DeviceUuid, DeviceUuid]:
        """Return device uuid -> child that speaks for it."""
        rows = await self._committer.read(
            lambda c: c.execute("SELECT device, node FROM brought").fetchall()
        )
        return {DeviceUuid(device): DeviceUuid(node) for device, node in rows}

    async def bring(self, node: DeviceUuid, device: DeviceUuid) -> DeviceUuid:
        """Note that a child speaks for a device unless another does; returns who speaks for it now."""

        def work(connection: sqlite3.Connection) -> DeviceUuid:
            connection.execute(
                "INSERT OR IGNORE INTO brought (device, node) VALUES (?, ?)", (device, node)
            )
            row = connection.execute("SELECT node FROM brought WHERE device = ?", (device,))
            return DeviceUuid(row.fetchone()[0])

        return await asyncio.shield(self._committer.transaction(work))

    async def invite(self, code_hash: bytes, owner: DeviceUuid | None, expires_ms: int) -> None:
        """Keep a one-time invitation by the hash of its code."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO invites (code_hash, owner, expires_ms) VALUES (?, ?, ?)",
                (code_hash, owner, expires_ms),
            )

        await asyncio.shield(self._committer.transaction(work))

    async def redeem(
        self, code_hash: bytes, node: DeviceUuid, now_ms: int
    ) -> tuple[bool, DeviceUuid | None]:
        """Use an invitation up for `node` (again by the same node within its time)."""

        def work(connection: sqlite3.Connection) -> tuple[bool, DeviceUuid | None]:
            connection.execute("DELETE FROM invites WHERE expires_ms <= ?", (now_ms,))
            row = connection.execute(
                "SELECT owner, node FROM invites WHERE code_hash = ?", (code_hash,)
            ).fetchone()
            if row is None or row[1] not in (None, node):
                return False, None
            connection.execute("UPDATE invites SET node = ? WHERE code_hash = ?", (node, code_hash))
            return True, DeviceUuid(row[0]) if row[0] is not None else None

        return await asyncio.shield(self._committer.transaction(work))
