"""What children's devices said: a row holds one device's records of one block, so that neither a block of many
devices nor a device of many blocks costs a row a record.  Bounded by records a device and by age.
"""

import sqlite3
from collections.abc import Iterator, Sequence

from gateway.model import Anchor, Clock, DeviceUuid, Document, Message, MessageKind, Stamp
from gateway.model.block import Block, Record
from gateway.model.wire import rendered
from gateway.store import anchors as anchor_rows
from gateway.store.committer import Committer

SLOT_BITS = 32  # a row's id = the device's slot << 32 | its number: a device's rows lie together
MOST_RECORDS = 10_000  # of one device: a day at one in 8 s, about 1.5 MB
MOST_AGE_MS = 30 * 24 * 3600 * 1000
TRIMMED_AT_ONCE = 64  # rows; a device that gains one row loses at most so many
KEPT = (MessageKind.READING, MessageKind.EVENT)


def insert(
    connection: sqlite3.Connection,
    node: DeviceUuid,
    block: Block,
    records: Sequence[Record],
    now_ms: int,
) -> None:
    """Keep the readings and events among accepted records, within the transaction that takes them."""
    by_device: dict[DeviceUuid, list[Record]] = {}
    for record in records:
        if record.kind in KEPT:
            by_device.setdefault(record.sender, []).append(record)
    for device, kept in by_device.items():
        slot, number, held = _slot(connection, device)
        connection.execute(
            "INSERT INTO history (id, node, log, boot_id, taken_ms, records, lines)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                slot << SLOT_BITS | number,
                node,
                block.log,
                block.boot_id,
                now_ms,
                len(kept),
                b"".join(map(_line, kept)),
            ),
        )
        held = _trimmed(connection, slot, held + len(kept), now_ms)
        connection.execute(
            "UPDATE history_devices SET last = ?, records = ? WHERE slot = ?", (number, held, slot)
        )


class SqliteHistory:
    """Matches `model.ports.HistoryReader` over log.db."""

    def __init__(self, committer: Committer, clock: Clock) -> None:
        self._committer = committer
        self._clock = clock

    async def readings(
        self, uuid: DeviceUuid, *, start_ms: int | None, finish_ms: int | None, limit: int
    ) -> Sequence[Document]:
        """Return rendered reading messages observed in [start, finish], newest last."""
        oldest_ms = self._clock.wall_ms() - MOST_AGE_MS
        start_ms = max(start_ms, oldest_ms) if start_ms is not None else oldest_ms
        span = (start_ms, finish_ms if finish_ms is not None else 1 << 62)
        found = await self._committer.read(lambda c: _newest(c, uuid, span, limit))
        return found[::-1]


def _newest(
    connection: sqlite3.Connection, uuid: DeviceUuid, span: tuple[int, int], limit: int
) -> list[Document]:
    found: list[Document] = []
    for node, log, observed_ms, record, stamp in _records(connection, uuid):
        if len(found) >= limit:
            break
        moment_ms, is_known = observed_ms
        if record.kind is not MessageKind.READING or not span[0] <= moment_ms <= span[1]:
            continue
        message = Message(
            id=record.origin or f"{node}:{log}:{record.number}",
            kind=record.kind,
            sender=uuid,
            body=record.body,
            created=stamp,
        )
        document = rendered(message, moment_ms, record.device_number)
        if not is_known:
            document["metadata"]["quality"] = "time-estimated"
        found.append(document)
    return found


def _records(
    connection: sqlite3.Connection, uuid: DeviceUuid
) -> Iterator[tuple[str, str, tuple[int, bool], Record, Stamp]]:
    """Yield a device's records, newest first: (node, log, (epoch ms, is it known), record, stamp)."""
    row = connection.execute(
        "SELECT slot FROM history_devices WHERE device = ?", (uuid,)
    ).fetchone()
    if row is None:
        return
    anchors: dict[str, list[Anchor]] = {}
    for node, log, boot_id, taken_ms, lines in connection.execute(
        "SELECT node, log, boot_id, taken_ms, lines FROM history"
        " WHERE id BETWEEN ? AND ? ORDER BY id DESC",
        (row[0] << SLOT_BITS, (row[0] + 1 << SLOT_BITS) - 1),
    ):
        if node not in anchors:
            anchors[node] = anchor_rows.select(connection, node)
        for text in reversed(lines.split(b"\n")[:-1]):
            record = _record(uuid, text)
            anchor = anchor_rows.best(anchors[node], boot_id, record.uptime_ms)
            moment = (anchor.wall_of(record.uptime_ms), True) if anchor else (taken_ms, False)
            yield node, log, moment, record, Stamp(boot_id, record.uptime_ms)


def _slot(connection: sqlite3.Connection, device: DeviceUuid) -> tuple[int, int, int]:
    """Return (slot, number of the next row, records held) of a device."""
    row = connection.execute(
        "SELECT slot, last, records FROM history_devices WHERE device = ?", (device,)
    ).fetchone()
    if row is not None:
        return row[0], row[1] + 1, row[2]
    made = connection.execute(
        "INSERT INTO history_devices (device, last, records) VALUES (?, 0, 0)", (device,)
    )
    assert made.lastrowid is not None
    return made.lastrowid, 1, 0


def _trimmed(connection: sqlite3.Connection, slot: int, held: int, now_ms: int) -> int:
    """Drop a device's oldest rows beyond the bounds; return how many records are left."""
    if held <= MOST_RECORDS and held % TRIMMED_AT_ONCE:
        return held  # ages are looked at now and then
    rows = connection.execute(
        "SELECT id, records, taken_ms FROM history WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
        (slot << SLOT_BITS, (slot + 1 << SLOT_BITS) - 1, TRIMMED_AT_ONCE),
    ).fetchall()
    for key, records, taken_ms in rows:
        if held <= MOST_RECORDS and taken_ms > now_ms - MOST_AGE_MS:
            break
        connection.execute("DELETE FROM history WHERE id = ?", (key,))
        held -= records
    return held


def _line(record: Record) -> bytes:
    head = (
        f"{record.number}\t{record.kind.value}\t{record.uptime_ms}\t{record.device_number}"
        f"\t{record.origin}\t"
    )
    return head.encode() + record.body + b"\n"


def _record(uuid: DeviceUuid, text: bytes) -> Record:
    number, kind, uptime_ms, device_number, origin, body = text.split(b"\t", 5)
    return Record(
        int(number),
        MessageKind(kind.decode()),
        uuid,
        int(uptime_ms),
        int(device_number),
        origin.decode(),
        body,
    )
