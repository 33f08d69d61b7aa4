"""A journal in memory that outlives the broker it serves: groups become durable one turn of the loop later.

A dictionary for each thing that must be found again; what is noted counts once its group is durable, not before.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.mqtt.journal import (
    Kept,
    KeptDelivery,
    KeptRetained,
    KeptSession,
    KeptSubscription,
    KeptWill,
    SessionKey,
    Target,
)
from gateway.mqtt.message import Message


@dataclass
class Row:
    """A session on "disk"."""

    key: SessionKey
    version: int
    expiry_s: int
    left_s: float
    subscriptions: dict[str, KeptSubscription] = field(default_factory=dict)
    deliveries: dict[int, KeptDelivery] = field(default_factory=dict)
    received: dict[int, None] = field(default_factory=dict)


class MemoryJournal:
    """Matches `gateway.mqtt.journal.Journal`."""

    is_full = False
    backlog_bytes = 0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.number = 1
        self.through = 0
        self.on_durable: Callable[[int], None] = lambda _: None
        self._loop = loop
        self._noted: list[Callable[[], object]] = []
        self._last_sid = 0
        self.rows: dict[int, Row] = {}
        self.retained: dict[str, Message] = {}
        self.wills: dict[SessionKey, KeptWill] = {}

    def _note(self, change: Callable[[], object]) -> int:
        if not self._noted:
            self._loop.call_soon(self._commit)
        self._noted.append(change)
        return self.number

    def _commit(self) -> None:
        noted, self._noted = self._noted, []
        self.through, self.number = self.number, self.number + 1
        for change in noted:
            change()
        self.on_durable(self.through)

    def found(self) -> Kept:
        """Return what a new process finds."""
        sessions = [
            KeptSession(
                sid,
                row.key,
                row.version,
                row.expiry_s,
                row.left_s,
                list(row.subscriptions.values()),
                list(row.deliveries.values()),
                list(row.received),
            )
            for sid, row in self.rows.items()
        ]
        retained = [KeptRetained(message, is_node=False) for message in self.retained.values()]
        return Kept(sessions, retained, list(self.wills.values()))

    # ---- what the broker notes ----

    def new_session(self, key: SessionKey, version: int, expiry_s: int) -> int:
        self._last_sid += 1
        sid, row = self._last_sid, Row(key, version, expiry_s, expiry_s)
        self._note(lambda: self.rows.__setitem__(sid, row))
        return sid

    def set_session(self, sid: int, version: int, expiry_s: int, left_s: float) -> None:
        def change() -> None:
            row = self.rows[sid]
            row.version, row.expiry_s, row.left_s = version, expiry_s, left_s

        self._note(change)

    def drop_session(self, sid: int) -> None:
        self._note(lambda: self.rows.pop(sid, None))

    def subscribe(self, sid: int, subscription: KeptSubscription) -> int:
        pattern = subscription.pattern
        return self._note(lambda: self.rows[sid].subscriptions.update({pattern: subscription}))

    def unsubscribe(self, sid: int, pattern: str) -> int:
        return self._note(lambda: self.rows[sid].subscriptions.pop(pattern, None))

    def enqueue(self, message: Message, targets: Sequence[Target]) -> int:
        def change() -> None:
            for sid, packet_id, flags, identifiers in targets:
                if sid in self.rows:
                    due = KeptDelivery(packet_id, (message, flags, identifiers), is_released=False)
                    assert packet_id not in self.rows[sid].deliveries, f"id {packet_id} twice"
                    self.rows[sid].deliveries[packet_id] = due

        return self._note(change)

    def release(self, sid: int, packet_id: int) -> int:
        def change() -> None:
            due = self.rows[sid].deliveries[packet_id]
            self.rows[sid].deliveries[packet_id] = KeptDelivery(
                packet_id, due.outgoing, is_released=True
            )

        return self._note(change)

    def finish(self, sid: int, packet_id: int) -> None:
        self._note(lambda: self.rows[sid].deliveries.pop(packet_id, None))

    def receive(self, sid: int, packet_id: int) -> int:
        return self._note(lambda: self.rows[sid].received.update({packet_id: None}))

    def forget(self, sid: int, packet_id: int) -> int:
        return self._note(lambda: self.rows[sid].received.pop(packet_id, None))

    def retain(self, message: Message, *, is_node: bool = False) -> int:
        def change() -> None:
            self.retained.pop(message.topic, None)
            if message.payload:
                self.retained[message.topic] = message

        return self._note(change)

    def will(self, key: SessionKey, message: Message | None, delay_s: int = 0) -> None:
        def change() -> None:
            self.wills.pop(key, None)
            if message is not None:
                self.wills[key] = KeptWill(key, message, delay_s)

        self._note(change)
