"""Reads back what the broker kept, in one transaction of the writer, which also removes what is damaged."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.mqtt.journal import (
    Kept,
    KeptDelivery,
    KeptRetained,
    KeptSession,
    KeptSubscription,
    KeptWill,
    SessionKey,
)
from gateway.mqtt.message import Message
from gateway.mqtt.ports import PrincipalKind
from gateway.store.mqtt_log import Segment
from gateway.store.mqtt_plan import RELEASED, read
from gateway.store.mqtt_segments import (
    IS_RELEASED,
    Contents,
    StoredTarget,
    checksum,
    decode_alone,
)

log = logging.getLogger(__name__)

KINDS = frozenset(PrincipalKind)


@dataclass(slots=True)
class Found:
    """What was kept, and what the message log must know to go on."""

    kept: Kept = field(default_factory=Kept)
    segments: list[Segment] = field(default_factory=list)
    live: list[tuple[int, int, int, int]] = field(default_factory=list)
    next_sequence: int = 1
    next_sid: int = 1


@dataclass(slots=True)
class _Delivery:
    segment: int
    target: StoredTarget
    message: Message
    is_released: bool


class Loader:
    """One reading of the tables; `now` and `wall_ms` are this moment on both clocks."""

    def __init__(self, now: float, wall_ms: int) -> None:
        self._now = now
        self._wall_ms = wall_ms
        self._found = Found()
        self._sessions: dict[int, KeptSession] = {}
        self._deliveries: dict[int, _Delivery] = {}

    def load(self, connection: sqlite3.Connection) -> Found:
        """Return everything that is kept."""
        self._load_sessions(connection)
        self._load_segments(connection)
        self._settle()
        self._load_retained(connection)
        self._load_wills(connection)
        self._found.kept.sessions = list(self._sessions.values())
        return self._found

    def _load_sessions(self, connection: sqlite3.Connection) -> None:
        damaged: list[tuple[int]] = []
        for sid, kind, identity, client_id, version, expiry_s, left_s in connection.execute(
            "SELECT sid, kind, identity, client_id, version, expiry_s, left_s"
            " FROM mqtt_sessions ORDER BY sid"
        ):
            if kind in KINDS:
                key = SessionKey(PrincipalKind(kind), identity, client_id)
                self._sessions[sid] = KeptSession(sid, key, version, expiry_s, left_s)
            else:
                damaged.append((sid,))
        self._report(damaged, "sessions of MQTT clients are damaged and were dropped")
        connection.executemany("DELETE FROM mqtt_sessions WHERE sid = ?", damaged)
        for sid, pattern, options, identifier in connection.execute(
            "SELECT sid, pattern, options, identifier FROM mqtt_subscriptions"
        ):
            if sid in self._sessions:
                kept = KeptSubscription(pattern, options, identifier)
                self._sessions[sid].subscriptions.append(kept)
        for sid, packet_id in connection.execute("SELECT sid, packet_id FROM mqtt_received"):
            if sid in self._sessions:
                self._sessions[sid].received.append(packet_id)
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'mqtt_sessions'")
        self._found.next_sid = (row.fetchone() or (0,))[0] + 1

    def _load_segments(self, connection: sqlite3.Connection) -> None:
        damaged: list[tuple[int]] = []
        for number, crc, data in connection.execute(
            "SELECT id, crc, data FROM mqtt_segments ORDER BY id"
        ):
            contents = read(number, crc, data)
            if contents is None:
                damaged.append((number,))
                continue
            count = sum(len(message.targets) for message in contents.messages)
            self._found.segments.append(Segment(number, len(data), count))
            self._take(number, contents)
        connection.executemany("DELETE FROM mqtt_segments WHERE id = ?", damaged)
        self._found.kept.damaged += len(damaged)

    def _take(self, number: int, contents: Contents) -> None:
        found = self._found
        for stored in contents.messages:
            message = stored.message(self._now, self._wall_ms)
            for target in stored.targets:
                is_released = bool(target.flags & IS_RELEASED)
                self._deliveries[target.sequence] = _Delivery(number, target, message, is_released)
        for sequence in contents.finished:
            self._deliveries.pop(sequence, None)
        for sequence in contents.released:
            if sequence in self._deliveries:
                self._deliveries[sequence].is_released = True
        mentioned = [target.sequence for stored in contents.messages for target in stored.targets]
        highest = max((*mentioned, *contents.finished, *contents.released), default=0)
        found.next_sequence = max(found.next_sequence, highest + 1)

    def _settle(self) -> None:
        """Give each session its deliveries, in the order in which they were queued."""
        newest = {
            (each.target.sid, each.target.packet_id): sequence
            for sequence, each in sorted(self._deliveries.items())
            if each.target.sid in self._sessions
        }
        for (sid, packet_id), sequence in newest.items():
            each = self._deliveries[sequence]
            flags = each.target.flags & ~IS_RELEASED
            outgoing = (each.message, flags, each.target.identifiers)
            kept = KeptDelivery(packet_id, outgoing, each.is_released)
            self._sessions[sid].deliveries.append(kept)
            value = sequence | (RELEASED if each.is_released else 0)
            self._found.live.append((each.segment, value, sid, packet_id))

    def _load_retained(self, connection: sqlite3.Connection) -> None:
        damaged: list[tuple[bytes]] = []
        for topic, is_node, crc, data in connection.execute(
            "SELECT topic, is_node, crc, data FROM mqtt_retained ORDER BY topic"
        ):
            message = self._alone(topic + data, crc, data, topic)
            if message is None:
                damaged.append((topic,))
            else:
                self._found.kept.retained.append(KeptRetained(message, bool(is_node)))
        self._report(damaged, "retained MQTT messages are damaged and were dropped")
        connection.executemany("DELETE FROM mqtt_retained WHERE topic = ?", damaged)

    def _load_wills(self, connection: sqlite3.Connection) -> None:
        damaged: list[tuple[str, str, str]] = []
        for kind, identity, client_id, delay_s, crc, data in connection.execute(
            "SELECT kind, identity, client_id, delay_s, crc, data FROM mqtt_wills"
        ):
            message = self._alone(data, crc, data, None)
            if message is None or kind not in KINDS:
                damaged.append((kind, identity, client_id))
                continue
            key = SessionKey(PrincipalKind(kind), identity, client_id)
            self._found.kept.wills.append(KeptWill(key, message, delay_s))
        self._report(damaged, "wills of MQTT clients are damaged and were dropped")
        connection.executemany(
            "DELETE FROM mqtt_wills WHERE kind = ? AND identity = ? AND client_id = ?", damaged
        )

    def _alone(self, summed: bytes, crc: int, data: bytes, topic: bytes | None) -> Message | None:
        """Return the message of a row; None when it is not what was written."""
        try:
            if checksum(0, summed) == crc:
                return decode_alone(data).message(self._now, self._wall_ms, topic)
        except ValueError:
            pass
        return None

    def _report(self, damaged: Sequence[object], what: str) -> None:
        self._found.kept.damaged += len(damaged)
        if damaged:
            rows, first = len(damaged), repr(damaged[0])
            log.error(what, extra={"code": "GW-1531", "rows": rows, "first": first})
