"""Wall-clock anchors of boots: our own (node `OWN`) and our children's."""

import sqlite3
from collections.abc import Collection, Iterable

from gateway.model import Anchor

OWN = ""
MOST_ANCHORS = 1000  # of one node; one is made when a clock steps, so this is years of them


def insert(connection: sqlite3.Connection, node: str, anchors: Iterable[Anchor]) -> None:
    """Keep anchors of a node, the newest ones if there are too many."""
    connection.executemany(
        "INSERT INTO anchors (node, boot_id, uptime_ms, wall_ms, error_ms) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (node, boot_id, uptime_ms)"
        " DO UPDATE SET wall_ms = excluded.wall_ms, error_ms = excluded.error_ms",
        [(node, a.boot_id, a.uptime_ms, a.wall_ms, a.error_ms) for a in anchors],
    )
    connection.execute(
        "DELETE FROM anchors WHERE node = ? AND id <= (SELECT id FROM anchors WHERE node = ?"
        " ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (node, node, MOST_ANCHORS),
    )


def select(
    connection: sqlite3.Connection, node: str, boot_ids: Collection[str] | None = None
) -> list[Anchor]:
    """Return a node's anchors of these boots (None: all), oldest first."""
    rows = connection.execute(
        "SELECT boot_id, uptime_ms, wall_ms, error_ms FROM anchors WHERE node = ? ORDER BY id",
        (node,),
    )
    return [Anchor(*row) for row in rows if boot_ids is None or row[0] in boot_ids]


def best(anchors: Iterable[Anchor], boot_id: str, uptime_ms: int) -> Anchor | None:
    """Return the anchor of a boot that is nearest to a moment, or None."""
    ours = (anchor for anchor in anchors if anchor.boot_id == boot_id)
    return min(ours, key=lambda anchor: abs(anchor.uptime_ms - uptime_ms), default=None)
