"""The broker's durable notes in log.db: what is noted now, and when it must be on disk.

Everything noted belongs to the open group, which the next commit of the `Committer` writes as a whole, with three
exceptions that are held back: retained QoS 0 messages until the loss window ends, topics that the node itself
keeps for ten minutes, and notes that a newer one made void.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.model import Clock
from gateway.mqtt.journal import Kept, KeptSubscription, SessionKey, Target
from gateway.mqtt.message import Message
from gateway.store.committer import Committer
from gateway.store.mqtt_load import Loader
from gateway.store.mqtt_log import LEAST_LOG_BYTES, MessageLog
from gateway.store.mqtt_plan import Plan
from gateway.store.mqtt_segments import EXPIRY
from gateway.store.mqtt_tables import Notes, Retained

SUBSCRIBE_WITHIN_S = (
    0.02  # a client waits for SUBACK before it does anything: not as long as for a PUBACK
)
MOST_NOTES = (
    256  # more than these do not wait: the commit costs the same, the senders' windows are full
)
MOST_NOTED_BYTES = 64 << 10
SLACK_S = 0.005  # timers fire a little early: what is due within this is due
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """When things are written and how much there may be."""

    ack_delay_s: float = 0.1  # somebody waits; 0: commit at once
    loss_window_s: float = 2.0  # nobody waits
    checkpoint_s: float = 600.0  # topics that the node itself keeps
    most_bytes: int = 64 << 20  # of messages that wait for their receivers
    least_log_bytes: int = LEAST_LOG_BYTES  # the log is not tidied below this


class SqliteJournal:
    """Matches `gateway.mqtt.journal.Journal` over log.db; call `load` before anything else."""

    def __init__(
        self,
        committer: Committer,
        *,
        clock: Clock,
        limits: JournalLimits | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take part in the commits of `committer`; `now` is the clock of `Message.expires_at`, in seconds."""
        self.number = 1
        self.through = 0
        self.on_durable: Callable[[int], None] = lambda _: None
        self.damaged = 0
        self._committer = committer
        self._clock = clock
        self._limits = limits if limits is not None else JournalLimits()
        self._ack_delay_s = self._limits.ack_delay_s
        self._now = now
        self._log = MessageLog(self._limits.least_log_bytes)
        self._notes = Notes()
        self._lazy: Retained = {}
        self._lazy_due = NEVER
        self._node: Retained = {}
        self._node_due = NEVER
        self._asked_s = NEVER  # the shortest time asked for since the last commit began
        self._waiting = 0  # notes of the open group that somebody waits for
        self._writing: tuple[int, Plan | None] | None = None
        self._next_sid = 0
        committer.on_commit(self._prepare, self._after)

    async def load(self) -> Kept:
        """Return what was kept, and go on from there; what is damaged is removed, counted and reported."""
        loader = Loader(self._now(), self._clock.wall_ms())
        found = await self._committer.transaction(loader.load)
        self._log.restore(found.segments, found.live, found.next_sequence)
        self._next_sid = found.next_sid
        self.damaged = found.kept.damaged
        return found.kept

    @property
    def is_full(self) -> bool:
        """Return whether messages that wait reached their bound: further ones should be dropped and counted."""
        return self._log.live_bytes + self._log.open.size >= self._limits.most_bytes

    @property
    def backlog_bytes(self) -> int:
        """Return the bytes of messages in the open group, which no commit has taken yet."""
        return self._log.open.size

    @property
    def live_bytes(self) -> int:
        """Return the bytes of messages that wait for their receivers."""
        return self._log.live_bytes + self._log.open.size

    @property
    def log_bytes(self) -> int:
        """Return the bytes of the message log on disk."""
        return self._log.bytes

    # ---- sessions ----

    def new_session(self, key: SessionKey, version: int, expiry_s: int) -> int:
        """Keep a session; return its sid, never used before in this store."""
        assert self._next_sid, "new_session() before load()"
        sid, self._next_sid = self._next_sid, self._next_sid + 1
        self._notes.sessions[sid] = (key, version, expiry_s, float(expiry_s))
        self._ask(self._limits.loss_window_s)
        return sid

    def set_session(self, sid: int, version: int, expiry_s: int, left_s: float) -> None:
        """Change what is known of a session, within the loss window."""
        self._notes.set_session(sid, version, expiry_s, left_s)
        self._ask(self._limits.loss_window_s)

    def drop_session(self, sid: int) -> None:
        """Forget a session and everything it holds, within the loss window."""
        self._log.drop(sid)
        self._notes.dropped.append(sid)
        self._ask(self._limits.loss_window_s)

    def subscribe(self, sid: int, subscription: KeptSubscription) -> int:
        """Keep a subscription, or replace the one with the same filter."""
        self._notes.subscriptions[sid, subscription.pattern] = subscription
        return self._wanted(SUBSCRIBE_WITHIN_S)

    def unsubscribe(self, sid: int, pattern: str) -> int:
        """Forget a subscription."""
        self._notes.subscriptions[sid, pattern] = None
        return self._wanted(SUBSCRIBE_WITHIN_S)

    # ---- messages ----

    def enqueue(self, message: Message, targets: Sequence[Target]) -> int:
        """Keep one message for all its receivers with kept sessions."""
        expires_at = message.expires_at
        expiry = b""
        if expires_at is not None:
            expiry = EXPIRY.pack(self._clock.wall_ms(), expires_at - self._now())
        self._log.add(message, targets, expiry)
        return self._wanted(self._ack_delay_s)

    def release(self, sid: int, packet_id: int) -> int:
        """Note that PUBREC came: from now on PUBREL is owed, not the message."""
        if not self._log.release(sid, packet_id):
            return 0
        return self._wanted(self._ack_delay_s)

    def finish(self, sid: int, packet_id: int) -> None:
        """Note that a delivery is over, within the loss window: repeats are harmless."""
        if self._log.finish(sid, packet_id) and self._asked_s > self._limits.loss_window_s:
            self._ask(self._limits.loss_window_s)

    def receive(self, sid: int, packet_id: int) -> int:
        """Keep the packet id of a QoS 2 PUBLISH from the client."""
        self._notes.received[sid, packet_id] = True
        return self._wanted(self._ack_delay_s)

    def forget(self, sid: int, packet_id: int) -> int:
        """Forget it: PUBREL came."""
        self._notes.received[sid, packet_id] = False
        return self._wanted(self._ack_delay_s)

    def retain(self, message: Message, *, is_node: bool = False) -> int:
        """Keep a retained message (an empty payload clears the topic); where a topic waits already, the newer wins."""
        topic, note = message.raw, (message, is_node)
        if topic in self._notes.retained or (message.qos and not is_node):
            self._lazy.pop(topic, None)
            self._node.pop(topic, None)
            self._notes.retained[topic] = note
            return self._wanted(self._ack_delay_s)
        if topic in self._lazy or not is_node:
            self._node.pop(topic, None)
            self._lazy[topic] = note
            if self._lazy_due == NEVER:
                self._lazy_due = self._due(self._limits.loss_window_s)
            return 0
        self._node[topic] = note
        if self._node_due == NEVER:
            self._node_due = self._due(self._limits.checkpoint_s)
        return 0

    def will(self, key: SessionKey, message: Message | None, delay_s: int = 0) -> None:
        """Keep the will of a connected client, or forget it (None), within the loss window."""
        self._notes.wills[key] = (message, delay_s) if message is not None else None
        self._ask(self._limits.loss_window_s)

    # ---- commits ----

    def _ask(self, seconds: float) -> None:
        if seconds < self._asked_s:  # an earlier request stands
            self._asked_s = seconds
            self._committer.within(seconds)

    def _wanted(self, seconds: float) -> int:
        """Ask for a commit of the open group, whose number somebody will wait for."""
        self._waiting += 1
        if self._waiting > MOST_NOTES or self._log.open.size > MOST_NOTED_BYTES:
            seconds = 0.0
        if seconds < self._asked_s:
            self._asked_s = seconds
            self._committer.within(seconds)
        return self.number

    def _due(self, seconds: float) -> float:
        self._ask(seconds)
        return asyncio.get_running_loop().time() + seconds

    def _prepare(self) -> Callable[[sqlite3.Connection], None] | None:
        is_closing = self._committer.is_closing
        self._asked_s, self._waiting = NEVER, 0
        self._take_due(asyncio.get_running_loop().time())
        plan = self._log.seal(may_copy=not is_closing)
        notes = self._notes
        if plan is None and not notes:
            return None
        self._notes = Notes()
        self._writing = (self.number, plan)
        self.number += 1
        now, wall_ms = self._now(), self._clock.wall_ms()

        def write(connection: sqlite3.Connection) -> None:
            notes.write(connection, now, wall_ms)
            if plan is not None:
                plan.write(connection)

        return write

    def _take_due(self, time_s: float) -> None:
        """Move retained messages whose time has come into the group, and ask again for the others."""
        latest = NEVER if self._committer.is_closing else time_s + SLACK_S
        if self._lazy_due <= latest:
            self._notes.retained.update(self._lazy)
            self._lazy, self._lazy_due = {}, NEVER
        if self._node_due <= latest:
            self._notes.retained.update(self._node)
            self._node, self._node_due = {}, NEVER
        due = min(self._lazy_due, self._node_due)
        if due != NEVER:
            self._ask(due - time_s)

    def _after(self) -> None:
        if self._writing is None:
            return
        (number, plan), self._writing = self._writing, None
        if plan is not None:
            self._log.written(plan)
            self.damaged += plan.damaged
        self.through = number
        self.on_durable(number)
