"""The spool's rows in log.db: functions over a connection, each within its caller's transaction.

`logs` counts what its blocks hold, in the same transaction that changes them, so that a start reads one row a
log and not a day of blocks.
"""

import json
import secrets
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.errors import MalformedFrameError
from gateway.model import Lane, RangeSet, Receipt, Refusal
from gateway.model.block import Block
from gateway.model.log_ports import LogState
from gateway.store import dead_letters
from gateway.store.texts import ranges_of, ranges_text

NUMBER_BITS = (
    36  # a block's id = its log's position << 36 | first number: 68 billion records a start
)
MOST_ENDED_LOGS = 1000  # invariant I10


@dataclass(slots=True)
class Held:
    """What one log holds on disk."""

    position: int
    blocks: int = 0
    records: int = 0  # not settled
    bytes: int = 0
    first: int | None = None  # lowest number of a block on disk
    boot_id: str = ""  # of that block
    uptime_ms: int = 0


@dataclass(slots=True)
class Departed:
    """What settling a receipt took from the disk."""

    blocks: int = 0
    records: int = 0
    bytes: int = 0
    refused: int = 0
    letters: int = 0  # dead letters kept, all
    held: Held | None = None  # what the log holds afterwards


@dataclass(slots=True)
class Written:
    """A sealed block on its way to the disk, with what was settled of it already."""

    block: Block
    uptime_ms: int
    settled: RangeSet


@dataclass(slots=True)
class Found:
    """What a start finds."""

    store_id: str
    position: int
    logs: dict[str, Held] = field(default_factory=dict)
    letters: int = 0


def begin(connection: sqlite3.Connection, log: str, started_ms: int) -> Found:
    """Add the row of a new log; return what older ones hold."""
    row = connection.execute("SELECT store_id FROM store").fetchone()
    if row is None:
        row = (secrets.token_hex(16),)
        connection.execute("INSERT INTO store (only, store_id) VALUES (1, ?)", row)
    connection.execute("DELETE FROM logs WHERE blocks = 0 AND is_closed AND last = 0")
    connection.execute(
        "DELETE FROM logs WHERE blocks = 0 AND position <= (SELECT position FROM logs"
        " ORDER BY position DESC LIMIT 1 OFFSET ?)",
        (MOST_ENDED_LOGS,),
    )
    position = connection.execute(
        "INSERT INTO logs (log, started_ms) VALUES (?, ?)", (log, started_ms)
    ).lastrowid
    assert position is not None
    found = Found(row[0], position, letters=dead_letters.count(connection))
    for old, where in connection.execute(
        "SELECT log, position FROM logs ORDER BY position"
    ).fetchall():
        found.logs[old] = held_by(connection, where)
    return found


def held_by(connection: sqlite3.Connection, position: int) -> Held:
    """Return what a log holds on disk."""
    row = connection.execute(
        "SELECT blocks, records, bytes FROM logs WHERE position = ?", (position,)
    ).fetchone()
    held = Held(position, *row) if row is not None else Held(position)
    if held.blocks:
        first = connection.execute(
            "SELECT id, boot_id, uptime_ms FROM blocks WHERE id >= ? ORDER BY id LIMIT 1",
            (position << NUMBER_BITS,),
        ).fetchone()
        held.first, held.boot_id, held.uptime_ms = _number(first[0]), first[1], first[2]
    return held


def write(
    connection: sqlite3.Connection, position: int, blocks: Collection[Written], last: int
) -> None:
    """Write sealed blocks; `last` is the newest number that the log has handed out."""
    connection.executemany(
        "INSERT INTO blocks (id, last, lane, boot_id, uptime_ms, crc, raw_bytes, settled, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                block_id(position, w.block.first),
                w.block.last,
                int(w.block.lane),
                w.block.boot_id,
                w.uptime_ms,
                w.block.crc,
                w.block.raw_bytes,
                ranges_text(w.settled),
                w.block.data,
            )
            for w in blocks
        ],
    )
    records = sum(w.block.last - w.block.first + 1 - len(w.settled) for w in blocks)
    size = sum(len(w.block.data) for w in blocks)
    connection.execute(
        "UPDATE logs SET last = ?, blocks = blocks + ?, records = records + ?, bytes = bytes + ?"
        " WHERE position = ?",
        (last, len(blocks), records, size, position),
    )


def end(
    connection: sqlite3.Connection, position: int, last: int, device_numbers: Mapping[str, int]
) -> None:
    """Mark the clean end of a log: nothing after `last` ever existed."""
    connection.execute(
        "UPDATE logs SET last = ?, is_closed = 1, device_numbers = ? WHERE position = ?",
        (last, json.dumps(device_numbers, separators=(",", ":")), position),
    )


def depart(connection: sqlite3.Connection, position: int, receipt: Receipt) -> Departed:
    """Delete what a receipt settles, keeping what was refused as dead letters."""
    gone = Departed()
    settles = receipt.taken.union(RangeSet.of((n, n) for n in receipt.refused))
    for first, last in settles.spans:
        for key in _overlapping(connection, position, first, last):
            _settle_block(connection, key, settles, receipt, gone)
    connection.execute(
        "UPDATE logs SET blocks = blocks - ?, records = records - ?, bytes = bytes - ?"
        " WHERE position = ?",
        (gone.blocks, gone.records, gone.bytes, position),
    )
    connection.execute(
        "DELETE FROM voids WHERE log = ? AND last <= ?", (receipt.log, settles.through)
    )
    gone.letters = dead_letters.count(connection)
    gone.held = held_by(connection, position)
    return gone


def pending(
    connection: sqlite3.Connection,
    logs: Iterable[tuple[int, str]],
    but: Collection[tuple[str, int]],
    most_bytes: int,
    above: int,
) -> tuple[list[Block], list[tuple[str, int]]]:
    """Return blocks of these (position, log) in that order, and the keys of those that are damaged.

    Numbers up to `above` are passed over.
    """
    found: list[Block] = []
    damaged: list[tuple[str, int]] = []
    for position, log in logs:
        keys = connection.execute(
            "SELECT id FROM blocks WHERE id > ? AND id < ? ORDER BY id",
            (block_id(position, above), block_id(position + 1, 0)),
        )
        for (key,) in keys:
            if most_bytes <= 0:
                return found, damaged
            if (log, _number(key)) in but:
                continue
            block = _block(connection, log, key)
            if zlib.crc32(block.data) != block.crc:
                damaged.append(block.key)
                continue
            found.append(block)
            most_bytes -= len(block.data)
    return found, damaged


def logs(connection: sqlite3.Connection) -> list[LogState]:
    """Return every known log as its rows tell, oldest first."""
    rows = connection.execute(
        "SELECT log, position, last, is_closed, started_ms, device_numbers FROM logs ORDER BY position"
    ).fetchall()
    states = []
    for log, position, last, is_closed, started_ms, numbers in rows:
        first = held_by(connection, position).first
        states.append(
            LogState(
                log,
                first if first is not None else last + 1,
                last,
                bool(is_closed),
                started_ms,
                json.loads(numbers) if numbers else {},
            )
        )
    return states


def forget_log(connection: sqlite3.Connection, log: str) -> bool:
    """Drop the row of a log that holds nothing; return whether it went."""
    cursor = connection.execute("DELETE FROM logs WHERE log = ? AND blocks = 0", (log,))
    if cursor.rowcount:
        connection.execute("DELETE FROM voids WHERE log = ?", (log,))
    return cursor.rowcount > 0


def _settle_block(
    connection: sqlite3.Connection, key: int, settles: RangeSet, receipt: Receipt, gone: Departed
) -> None:
    last, text, size = connection.execute(
        "SELECT last, settled, length(data) FROM blocks WHERE id = ?", (key,)
    ).fetchone()
    first = _number(key)
    before = ranges_of(text)
    after = before.union(within(settles, first, last))
    refused = {
        n: why for n, why in receipt.refused.items() if first <= n <= last and n not in before
    }
    if refused:
        gone.refused += _bury(connection, receipt.log, key, refused)
    gone.records += len(after) - len(before)
    if after.covers(first, last):
        connection.execute("DELETE FROM blocks WHERE id = ?", (key,))
        gone.blocks += 1
        gone.bytes += size
    elif after != before:
        connection.execute("UPDATE blocks SET settled = ? WHERE id = ?", (ranges_text(after), key))


def _bury(
    connection: sqlite3.Connection, log: str, key: int, refused: Mapping[int, Refusal]
) -> int:
    try:
        letters = dead_letters.of_block(_block(connection, log, key), refused)
    except MalformedFrameError:
        return 0  # nobody can read it: there is no letter to keep
    dead_letters.insert(connection, letters)
    return len(letters)


def _overlapping(
    connection: sqlite3.Connection, position: int, first: int, last: int
) -> Iterator[int]:
    before = connection.execute(
        "SELECT id, last FROM blocks WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1",
        (block_id(position, first), block_id(position, 0)),
    ).fetchone()
    if before is not None and before[1] >= first:
        yield before[0]
    for (key,) in connection.execute(
        "SELECT id FROM blocks WHERE id BETWEEN ? AND ?",
        (block_id(position, first), block_id(position, last)),
    ).fetchall():
        yield key


def within(ranges: RangeSet, first: int, last: int) -> RangeSet:
    """Return the part of a set that lies in first..last."""
    return RangeSet(
        tuple((max(a, first), min(b, last)) for a, b in ranges.spans if a <= last and b >= first)
    )


def _block(connection: sqlite3.Connection, log: str, key: int) -> Block:
    last, lane, boot_id, data, crc, raw_bytes = connection.execute(
        "SELECT last, lane, boot_id, data, crc, raw_bytes FROM blocks WHERE id = ?", (key,)
    ).fetchone()
    return Block(log, _number(key), last, Lane(lane), boot_id, data, crc, raw_bytes)


def block_id(position: int, number: int) -> int:
    """Return the row id of the block of a log that starts at a number."""
    return position << NUMBER_BITS | min(number, (1 << NUMBER_BITS) - 1)


def _number(key: int) -> int:
    return key & ((1 << NUMBER_BITS) - 1)
