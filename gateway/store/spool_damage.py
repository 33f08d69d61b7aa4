"""Blocks whose bytes changed on the card: set aside for inspection, their numbers noted as void."""

import sqlite3
from collections.abc import Iterable

from gateway.model import RangeSet
from gateway.store import dead_letters
from gateway.store import spool_rows as rows
from gateway.store.texts import ranges_of

MOST_DAMAGED = 64  # blocks kept for inspection


def set_aside(
    connection: sqlite3.Connection, position: int, keys: Iterable[tuple[str, int]]
) -> rows.Departed:
    """Move damaged blocks out of the way and note their numbers as void."""
    gone = rows.Departed()
    for log, first in keys:
        row = connection.execute(
            "SELECT last, settled, length(data) FROM blocks WHERE id = ?",
            (rows.block_id(position, first),),
        ).fetchone()
        if row is None:
            continue
        last, settled, size = row
        connection.execute(
            "INSERT INTO damaged (log, first, last, reason, data)"
            " SELECT ?, ?, last, 'corrupt', data FROM blocks WHERE id = ?",
            (log, first, rows.block_id(position, first)),
        )
        connection.execute("DELETE FROM blocks WHERE id = ?", (rows.block_id(position, first),))
        connection.execute(
            "INSERT OR IGNORE INTO voids (log, first, last, reason) VALUES (?, ?, ?, 'corrupt')",
            (log, first, last),
        )
        gone.blocks += 1
        gone.records += last - first + 1 - len(ranges_of(settled))
        gone.bytes += size
    connection.execute(
        "DELETE FROM damaged WHERE id <= (SELECT id FROM damaged ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (MOST_DAMAGED,),
    )
    connection.execute(
        "UPDATE logs SET blocks = blocks - ?, records = records - ?, bytes = bytes - ?"
        " WHERE position = ?",
        (gone.blocks, gone.records, gone.bytes, position),
    )
    gone.letters = dead_letters.count(connection)
    gone.held = rows.held_by(connection, position)
    return gone


def voids(connection: sqlite3.Connection) -> list[tuple[str, RangeSet, str]]:
    """Return (log, numbers, reason) of what was lost and is not reported yet."""
    rows = connection.execute("SELECT log, first, last, reason FROM voids ORDER BY log, first")
    return [(log, RangeSet.of([(first, last)]), reason) for log, first, last, reason in rows]
