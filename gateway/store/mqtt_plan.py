"""What one commit does to the message log, carried out in the writer's thread, which alone reads old segments."""

import logging
import sqlite3
from dataclasses import dataclass, field

from gateway.store import mqtt_segments as segments

log = logging.getLogger(__name__)

SEQUENCE_BITS = 48  # a million deliveries a second for nine years
RELEASED = 1 << SEQUENCE_BITS
SHIFT = SEQUENCE_BITS + 1
SEQUENCE = RELEASED - 1

Live = dict[int, dict[int, int]]
"""sid -> packet id -> number of the segment << SHIFT | RELEASED if PUBREC came | sequence number."""

Moved = tuple[int, int, int]
"""(sid, packet id, sequence number) of a delivery copied to a newer segment."""


@dataclass(slots=True)
class Plan:
    """Made on the event loop; `write` notes what it copied."""

    number: int
    data: bytes
    through: int  # segments up to this one are deleted
    leaving: list[int]  # the ones among them whose living deliveries are copied first
    copy: int  # the number of the segment that gets them
    live: Live  # the event loop's own: read here, changed there
    moved: list[Moved] = field(default_factory=list)
    moved_bytes: int = 0
    damaged: int = 0

    def write(self, connection: sqlite3.Connection) -> None:
        """Carry it out.

        The event loop goes on meanwhile: a delivery that ends after it was looked at here is copied all the same,
        and noted as finished once the log hears what was moved.
        """
        kept: list[bytes] = []
        for number in self.leaving:
            kept += self._living(connection, number)
        if self.through:
            connection.execute("DELETE FROM mqtt_segments WHERE id <= ?", (self.through,))
        moved = b"".join(kept)
        self.moved_bytes = len(moved)
        rows = [(self.number, self.data), (self.copy, moved)]
        connection.executemany(
            "INSERT INTO mqtt_segments (id, crc, data) VALUES (?, ?, ?)",
            [(number, segments.checksum(number, data), data) for number, data in rows if data],
        )

    def _living(self, connection: sqlite3.Connection, number: int) -> list[bytes]:
        """Return the messages of a segment that somebody still waits for, for those only."""
        row = connection.execute("SELECT crc, data FROM mqtt_segments WHERE id = ?", (number,))
        contents = read(number, *(row.fetchone() or (0, b"")))
        if contents is None:
            self.damaged += 1
            return []
        kept: list[bytes] = []
        for message in contents.messages:
            targets = []
            for target in message.targets:
                value = self.live.get(target.sid, {}).get(target.packet_id, 0)
                if value & SEQUENCE == target.sequence:
                    flags = target.flags | (segments.IS_RELEASED if value & RELEASED else 0)
                    targets.append(target._replace(flags=flags))
                    self.moved.append((target.sid, target.packet_id, target.sequence))
            if targets:
                kept.append(message.encoded(targets))
        return kept


def read(number: int, crc: int, data: bytes) -> segments.Contents | None:
    """Return what a row holds; None, with a line in the log, when its bytes are not what was written."""
    try:
        if segments.checksum(number, data) == crc:
            return segments.decode(data)
        reason = "its checksum differs"
    except ValueError as error:
        reason = str(error)
    log.error(
        "part of the MQTT message log is damaged: queued messages in it are lost, and some that were"
        " delivered may come again",
        extra={"code": "GW-1530", "segment": number, "bytes": len(data), "reason": reason},
    )
    return None
