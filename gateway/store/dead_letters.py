"""Refused records, kept for a person to look at: the newest ten thousand."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import DeviceUuid, MessageKind, Refusal
from gateway.model.block import Block, Record, unpack

MOST_DEAD_LETTERS = 10_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record, why it was refused, and the boot that its time counts from."""

    log: str
    boot_id: str
    refusal: Refusal
    record: Record


def of_block(block: Block, refused: Mapping[int, Refusal]) -> list[DeadLetter]:
    """Return the refused records of a block; raises MalformedFrameError when it cannot be read."""
    return [
        DeadLetter(block.log, block.boot_id, refused[record.number], record)
        for record in unpack(block)
        if record.number in refused
    ]


def insert(connection: sqlite3.Connection, letters: list[DeadLetter]) -> None:
    """Keep dead letters; one that is there already stays as it is."""
    connection.executemany(
        "INSERT OR IGNORE INTO dead_letters (log, number, reason, boot_id, kind, sender, uptime_ms,"
        " device_number, origin, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                letter.log,
                letter.record.number,
                letter.refusal.value,
                letter.boot_id,
                letter.record.kind.value,
                letter.record.sender,
                letter.record.uptime_ms,
                letter.record.device_number,
                letter.record.origin,
                letter.record.body,
            )
            for letter in letters
        ],
    )
    connection.execute(
        "DELETE FROM dead_letters WHERE id <= (SELECT id FROM dead_letters"
        " ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (MOST_DEAD_LETTERS,),
    )


def count(connection: sqlite3.Connection) -> int:
    """Return how many are kept."""
    return int(connection.execute("SELECT count(*) FROM dead_letters").fetchone()[0])


def newest(connection: sqlite3.Connection, limit: int) -> list[tuple[str, int, Refusal, Record]]:
    """Return (log, number, why, record), newest first."""
    rows = connection.execute(
        "SELECT log, reason, number, kind, sender, uptime_ms, device_number, origin, body"
        " FROM dead_letters ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return [
        (
            row[0],
            row[2],
            Refusal(row[1]),
            Record(row[2], MessageKind(row[3]), DeviceUuid(row[4]), *row[5:]),
        )
        for row in rows
    ]
