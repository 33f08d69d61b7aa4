"""The broker's small tables: sessions, subscriptions, packet ids, retained messages and wills.

Notes of one group are coalesced: of a thing that changed twice, the newer state is written.
"""

import sqlite3
from dataclasses import dataclass, field

from gateway.mqtt.journal import KeptSubscription, SessionKey
from gateway.mqtt.message import Message
from gateway.store.mqtt_segments import checksum, encoded_alone

Retained = dict[bytes, tuple[Message, bool]]
"""Topic -> (message, the node keeps it)."""


@dataclass(slots=True)
class Notes:
    """What one group changes."""

    sessions: dict[int, tuple[SessionKey, int, int, float]] = field(default_factory=dict)  # new
    changed: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    subscriptions: dict[tuple[int, str], KeptSubscription | None] = field(default_factory=dict)
    received: dict[tuple[int, int], bool] = field(default_factory=dict)
    wills: dict[SessionKey, tuple[Message, int] | None] = field(default_factory=dict)
    retained: Retained = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        return bool(
            self.received
            or self.retained
            or self.subscriptions
            or self.sessions
            or self.changed
            or self.dropped
            or self.wills
        )

    def set_session(self, sid: int, version: int, expiry_s: int, left_s: float) -> None:
        """Change a session, be it new in this group or older."""
        new = self.sessions.get(sid)
        if new is not None:
            self.sessions[sid] = (new[0], version, expiry_s, left_s)
        else:
            self.changed[sid] = (version, expiry_s, left_s)

    def write(self, connection: sqlite3.Connection, now: float, wall_ms: int) -> None:
        """Write it all, in the writer's thread; sessions that go, go last: their numbers never come again."""
        if self.sessions or self.changed:
            self._write_sessions(connection)
        if self.subscriptions:
            self._write_subscriptions(connection)
        if self.received:
            self._write_received(connection)
        if self.retained:
            self._write_retained(connection, now, wall_ms)
        if self.wills:
            self._write_wills(connection, now, wall_ms)
        for sid in self.dropped:
            connection.execute("DELETE FROM mqtt_sessions WHERE sid = ?", (sid,))
            connection.execute("DELETE FROM mqtt_subscriptions WHERE sid = ?", (sid,))
            connection.execute("DELETE FROM mqtt_received WHERE sid = ?", (sid,))

    def _write_sessions(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO mqtt_sessions (sid, kind, identity, client_id, version, expiry_s, left_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (sid, key.kind.value, key.identity, key.client_id, *rest)
                for sid, (key, *rest) in self.sessions.items()
            ],
        )
        connection.executemany(
            "UPDATE mqtt_sessions SET version = ?, expiry_s = ?, left_s = ? WHERE sid = ?",
            [(*values, sid) for sid, values in self.changed.items()],
        )

    def _write_subscriptions(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT INTO mqtt_subscriptions (sid, pattern, options, identifier) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (sid, pattern)"
            " DO UPDATE SET options = excluded.options, identifier = excluded.identifier",
            [
                (sid, pattern, kept.options, kept.identifier)
                for (sid, pattern), kept in self.subscriptions.items()
                if kept is not None
            ],
        )
        connection.executemany(
            "DELETE FROM mqtt_subscriptions WHERE sid = ? AND pattern = ?",
            [key for key, kept in self.subscriptions.items() if kept is None],
        )

    def _write_received(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "INSERT OR IGNORE INTO mqtt_received (sid, packet_id) VALUES (?, ?)",
            [key for key, is_held in self.received.items() if is_held],
        )
        connection.executemany(
            "DELETE FROM mqtt_received WHERE sid = ? AND packet_id = ?",
            [key for key, is_held in self.received.items() if not is_held],
        )

    def _write_retained(self, connection: sqlite3.Connection, now: float, wall_ms: int) -> None:
        rows, cleared = [], []
        for topic, (message, is_node) in self.retained.items():
            if message.payload:
                data = encoded_alone(message, now, wall_ms, with_topic=False)
                rows.append((topic, is_node, checksum(0, topic + data), data))
            else:
                cleared.append((topic,))
        connection.executemany(
            "INSERT INTO mqtt_retained (topic, is_node, crc, data) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (topic) DO UPDATE"
            " SET is_node = excluded.is_node, crc = excluded.crc, data = excluded.data",
            rows,
        )
        connection.executemany("DELETE FROM mqtt_retained WHERE topic = ?", cleared)

    def _write_wills(self, connection: sqlite3.Connection, now: float, wall_ms: int) -> None:
        rows, gone = [], []
        for key, kept in self.wills.items():
            whose = (key.kind.value, key.identity, key.client_id)
            if kept is None:
                gone.append(whose)
                continue
            data = encoded_alone(kept[0], now, wall_ms, with_topic=True)
            rows.append((*whose, kept[1], checksum(0, data), data))
        connection.executemany(
            "INSERT INTO mqtt_wills (kind, identity, client_id, delay_s, crc, data)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, identity, client_id) DO UPDATE"
            " SET delay_s = excluded.delay_s, crc = excluded.crc, data = excluded.data",
            rows,
        )
        connection.executemany(
            "DELETE FROM mqtt_wills WHERE kind = ? AND identity = ? AND client_id = ?", gone
        )
