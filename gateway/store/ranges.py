"""The parent's side of every child's logs: a record has its effects in the transaction that counts it as taken."""

import asyncio
import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence

from gateway.errors import ForbiddenError
from gateway.model import Anchor, Clock, DeviceUuid, RangeSet, Receipt, Refusal
from gateway.model.block import Block, Record
from gateway.model.log_ports import Intake, Judge, Taken
from gateway.store import anchors as anchor_rows
from gateway.store import history
from gateway.store.committer import Committer
from gateway.store.downlog import adopt_store
from gateway.store.texts import ranges_of, ranges_text

MOST_LOGS = 1000  # of one child (invariant I10)


class SqliteRanges:
    """Matches `model.log_ports.Ranges` over log.db."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock

    async def fence(self, node: DeviceUuid, store_id: str) -> int:
        """Draw the next fence of a child, durably."""

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(
                "INSERT INTO fences (node, store_id, fence) VALUES (?, ?, 1) ON CONFLICT (node)"
                " DO UPDATE SET store_id = excluded.store_id, fence = fence + 1",
                (node, store_id),
            )
            adopt_store(connection, node, store_id)
            return _fence(connection, node)

        return await asyncio.shield(self._committer.transaction(work))

    async def of(self, node: DeviceUuid) -> Mapping[str, Taken]:
        """Return every known log of a child."""
        return await self._committer.read(lambda c: _known(c, node))

    async def take(
        self, node: DeviceUuid, fence: int, block: Block, records: Sequence[Record], judge: Judge
    ) -> Intake:
        """Take a block in one transaction: range, refusals, history of the records not refused."""
        now_ms = self._clock.wall_ms()

        def work(connection: sqlite3.Connection) -> Intake:
            _check_fence(connection, node, fence)
            before = _taken(connection, node, block.log)
            if before.covers(block.first, block.last):
                return Intake((), _receipt(connection, node, block))
            fresh = [record for record in records if record.number not in before]
            refused = judge(fresh)
            accepted = [record for record in fresh if record.number not in refused]
            taken = before.add(block.first, block.last)
            _put_taken(connection, node, block.log, taken)
            _put_refusals(connection, node, block.log, refused)
            history.insert(connection, node, block, accepted, now_ms)
            return Intake(tuple(accepted), _receipt(connection, node, block))

        return await asyncio.shield(self._committer.transaction(work))

    async def void(
        self, node: DeviceUuid, fence: int, log: str, numbers: RangeSet, reason: str
    ) -> Receipt:
        """Count numbers as lost for a reason, unless they were taken; they are then in the range."""

        def work(connection: sqlite3.Connection) -> Receipt:
            _check_fence(connection, node, fence)
            before = _taken(connection, node, log)
            gaps = [span for a, b in numbers.spans for span in before.missing(a, b).spans]
            taken = before.union(numbers)
            _put_taken(connection, node, log, taken)
            _put_lost(connection, (node, log, reason), RangeSet.of(gaps))
            return Receipt(log, taken)

        return await asyncio.shield(self._committer.transaction(work))

    async def confirm(self, node: DeviceUuid, log: str, numbers: Collection[int]) -> None:
        """Forget refusals that the child has made dead letters of."""
        rows = [(node, log, number) for number in numbers]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "DELETE FROM refusals WHERE node = ? AND log = ? AND number = ?", rows
            )

        if rows:
            await asyncio.shield(self._committer.transaction(work))

    async def ended(
        self, node: DeviceUuid, log: str, last: int, device_numbers: Mapping[str, int]
    ) -> None:
        """Note the clean end of a log."""
        numbers = json.dumps(dict(device_numbers), separators=(",", ":"))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO intake (node, log, ended_last, device_numbers) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (node, log) DO UPDATE SET ended_last = excluded.ended_last,"
                " device_numbers = excluded.device_numbers",
                (node, log, last, numbers),
            )
            _bound_logs(connection, node)

        await asyncio.shield(self._committer.transaction(work))

    async def anchor(self, node: DeviceUuid, anchor: Anchor) -> None:
        """Keep a child's anchor."""
        await asyncio.shield(
            self._committer.transaction(lambda c: anchor_rows.insert(c, node, [anchor]))
        )

    async def anchors(self, node: DeviceUuid) -> Sequence[Anchor]:
        """Return a child's anchors, oldest first."""
        return await self._committer.read(lambda c: anchor_rows.select(c, node))


def _fence(connection: sqlite3.Connection, node: DeviceUuid) -> int:
    row = connection.execute("SELECT fence FROM fences WHERE node = ?", (node,)).fetchone()
    return int(row[0]) if row is not None else 0


def _check_fence(connection: sqlite3.Connection, node: DeviceUuid, fence: int) -> None:
    newest = _fence(connection, node)
    if fence != newest or newest == 0:
        raise ForbiddenError(
            f"session {fence} of child {node} is not its newest ({newest})",
            code="GW-1602",
            hint="nothing to do: the older of two sessions of one gateway is closed",
        )


def _taken(connection: sqlite3.Connection, node: DeviceUuid, log: str) -> RangeSet:
    row = connection.execute(
        "SELECT taken FROM intake WHERE node = ? AND log = ?", (node, log)
    ).fetchone()
    return ranges_of(row[0]) if row is not None else RangeSet()


def _put_taken(connection: sqlite3.Connection, node: DeviceUuid, log: str, taken: RangeSet) -> None:
    text = ranges_text(taken)
    changed = connection.execute(
        "UPDATE intake SET taken = ? WHERE node = ? AND log = ?", (text, node, log)
    )
    if changed.rowcount == 0:
        connection.execute(
            "INSERT INTO intake (node, log, taken) VALUES (?, ?, ?)", (node, log, text)
        )
        _bound_logs(connection, node)


def _bound_logs(connection: sqlite3.Connection, node: DeviceUuid) -> None:
    """Forget the oldest logs of a child that starts over and over, with all that is known of them."""
    rows = connection.execute(
        "SELECT id, log FROM intake WHERE node = ? ORDER BY id DESC LIMIT -1 OFFSET ?",
        (node, MOST_LOGS),
    ).fetchall()
    for key, log in rows:
        connection.execute("DELETE FROM intake WHERE id = ?", (key,))
        connection.execute("DELETE FROM refusals WHERE node = ? AND log = ?", (node, log))
        connection.execute("DELETE FROM lost WHERE node = ? AND log = ?", (node, log))


def _put_refusals(
    connection: sqlite3.Connection, node: DeviceUuid, log: str, refused: Mapping[int, Refusal]
) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO refusals (node, log, number, reason) VALUES (?, ?, ?, ?)",
        [(node, log, number, why.value) for number, why in refused.items()],
    )


def _put_lost(
    connection: sqlite3.Connection, key: tuple[DeviceUuid, str, str], numbers: RangeSet
) -> None:
    if not numbers:
        return
    row = connection.execute(
        "SELECT numbers FROM lost WHERE node = ? AND log = ? AND reason = ?", key
    ).fetchone()
    known = ranges_of(row[0]) if row is not None else RangeSet()
    connection.execute(
        "INSERT OR REPLACE INTO lost (node, log, reason, numbers) VALUES (?, ?, ?, ?)",
        (*key, ranges_text(known.union(numbers))),
    )


def _receipt(connection: sqlite3.Connection, node: DeviceUuid, block: Block) -> Receipt:
    """Return the answer for a block that is in the range: itself, and which of its records were refused."""
    rows = connection.execute(
        "SELECT number, reason FROM refusals WHERE node = ? AND log = ? AND number BETWEEN ? AND ?"
        " ORDER BY number",
        (node, block.log, block.first, block.last),
    )
    refused = {number: Refusal(reason) for number, reason in rows}
    return Receipt(block.log, RangeSet(((block.first, block.last),)), refused)


def _known(connection: sqlite3.Connection, node: DeviceUuid) -> dict[str, Taken]:
    refused: dict[str, dict[int, Refusal]] = {}
    for log, number, reason in connection.execute(
        "SELECT log, number, reason FROM refusals WHERE node = ? ORDER BY log, number", (node,)
    ):
        refused.setdefault(log, {})[number] = Refusal(reason)
    lost: dict[str, dict[str, RangeSet]] = {}
    for log, reason, numbers in connection.execute(
        "SELECT log, reason, numbers FROM lost WHERE node = ?", (node,)
    ):
        lost.setdefault(log, {})[reason] = ranges_of(numbers)
    return {
        log: Taken(ranges_of(taken), refused.get(log, {}), lost.get(log, {}))
        for log, taken in connection.execute(
            "SELECT log, taken FROM intake WHERE node = ? ORDER BY id", (node,)
        ).fetchall()
    }
