"""Commands on their way to children: numbered for one store of one child, kept until taken or expired."""

import asyncio
import secrets
import sqlite3
from collections.abc import Sequence

from gateway.errors import StoreFullError
from gateway.model import Clock, Command, DeviceUuid, RangeSet
from gateway.model.log_ports import DownCommand
from gateway.store.committer import Committer
from gateway.store.texts import command_of, command_text

MOST_WAITING = 1000  # commands of one child; a command lives seven days at most


class SqliteDownLog:
    """Matches `model.log_ports.DownLog` over log.db."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock

    async def append(
        self, node: DeviceUuid, command: Command, deadline_wall_ms: int
    ) -> DownCommand:
        """Keep a command for a child, durably; raises StoreFullError when too many wait."""
        now_ms = self._clock.wall_ms()

        def work(connection: sqlite3.Connection) -> DownCommand:
            down_log, last = _current(connection, node)
            _drop_expired(connection, node, now_ms)
            _refuse_if_full(connection, node)
            connection.execute(
                "UPDATE down_logs SET last = ? WHERE down_log = ?", (last + 1, down_log)
            )
            connection.execute(
                "INSERT INTO down_commands (down_log, number, deadline_wall_ms, command)"
                " VALUES (?, ?, ?, ?)",
                (down_log, last + 1, deadline_wall_ms, command_text(command)),
            )
            return DownCommand(down_log, last + 1, command, deadline_wall_ms)

        return await asyncio.shield(self._committer.transaction(work))

    async def pending(self, node: DeviceUuid) -> Sequence[DownCommand]:
        """Return what a child has not taken yet and has not expired, in order; its newest store only."""
        now_ms = self._clock.wall_ms()
        return await self._committer.read(lambda c: _pending(c, node, now_ms))

    async def settle(self, node: DeviceUuid, down_log: str, numbers: RangeSet) -> None:
        """Drop what the child has taken."""
        now_ms = self._clock.wall_ms()

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM down_commands WHERE down_log = ? AND number BETWEEN ? AND ?"
                " AND down_log IN (SELECT down_log FROM down_logs WHERE node = ?)",
                [(down_log, first, last, node) for first, last in numbers.spans],
            )
            _drop_expired(connection, node, now_ms)

        await asyncio.shield(self._committer.transaction(work))


def adopt_store(connection: sqlite3.Connection, node: DeviceUuid, store_id: str) -> None:
    """Give what was kept for a child that was never seen to its first store."""
    connection.execute(
        "UPDATE down_logs SET store_id = ? WHERE node = ? AND store_id = ''", (store_id, node)
    )


def _newest(connection: sqlite3.Connection, node: DeviceUuid) -> tuple[str, int] | None:
    """Return (down log, last number) of the child's newest store, if there is one."""
    row = connection.execute(
        "SELECT down_log, last FROM down_logs WHERE node = :node AND store_id ="
        " coalesce((SELECT store_id FROM fences WHERE node = :node), '')",
        {"node": node},
    ).fetchone()
    return (str(row[0]), int(row[1])) if row is not None else None


def _current(connection: sqlite3.Connection, node: DeviceUuid) -> tuple[str, int]:
    newest = _newest(connection, node)
    if newest is not None:
        return newest
    down_log = secrets.token_hex(16)
    connection.execute(
        "INSERT INTO down_logs (down_log, node, store_id, last) VALUES (:log, :node,"
        " coalesce((SELECT store_id FROM fences WHERE node = :node), ''), 0)",
        {"log": down_log, "node": node},
    )
    return down_log, 0


def _pending(connection: sqlite3.Connection, node: DeviceUuid, now_ms: int) -> list[DownCommand]:
    newest = _newest(connection, node)
    if newest is None:
        return []
    rows = connection.execute(
        "SELECT down_log, number, command, deadline_wall_ms FROM down_commands"
        " WHERE down_log = ? AND deadline_wall_ms > ? ORDER BY number",
        (newest[0], now_ms),
    )
    return [DownCommand(row[0], row[1], command_of(row[2]), row[3]) for row in rows]


def _drop_expired(connection: sqlite3.Connection, node: DeviceUuid, now_ms: int) -> None:
    connection.execute(
        "DELETE FROM down_commands WHERE deadline_wall_ms <= ? AND down_log IN"
        " (SELECT down_log FROM down_logs WHERE node = ?)",
        (now_ms, node),
    )


def _refuse_if_full(connection: sqlite3.Connection, node: DeviceUuid) -> None:
    waiting = connection.execute(
        "SELECT count(*) FROM down_commands WHERE down_log IN"
        " (SELECT down_log FROM down_logs WHERE node = ?)",
        (node,),
    ).fetchone()[0]
    if waiting >= MOST_WAITING:
        raise StoreFullError(
            f"{waiting} commands wait for child {node}, no more are kept",
            code="GW-1509",
            hint="the child has been away for long: bring it back, or remove it",
        )
