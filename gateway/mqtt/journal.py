"""What the broker must find again after a power cut, as a port: the store keeps it, `NoJournal` forgets it.

Everything noted belongs to the group that is open (`number`).  A group becomes durable as a whole: the journal then
raises `through` and calls `on_durable(through)`, and what waited for it may leave: PUBACK, PUBREC, PUBCOMP, SUBACK,
PUBREL, and QoS 1 and 2 deliveries to kept sessions (sync rules, sections 1 and 2).  Notes are synchronous and cheap:
the fast path makes them.  Methods that return a number return the group to wait for; 0 means nobody need wait.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.mqtt.message import Message, Outgoing
from gateway.mqtt.ports import PrincipalKind


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Who a kept session belongs to."""

    kind: PrincipalKind
    identity: str
    client_id: str


@dataclass(frozen=True, slots=True)
class KeptSubscription:
    """A subscription of a kept session; `options` as the broker marks them (QoS in the lowest two bits)."""

    pattern: str
    options: int
    identifier: int = 0  # MQTT 5 subscription identifier; 0: none


@dataclass(frozen=True, slots=True)
class KeptDelivery:
    """A QoS 1 or 2 message not finished; `is_released`: PUBREC came, so PUBREL is what is owed."""

    packet_id: int
    outgoing: Outgoing
    is_released: bool


@dataclass(slots=True)
class KeptSession:
    """A session as it is found again; deliveries in the order in which they were queued."""

    sid: int
    key: SessionKey
    version: int  # 3, 4 or 5: the dialect of its last connection
    expiry_s: int  # how long it lives without a connection
    left_s: float  # what is left of that
    subscriptions: list[KeptSubscription] = field(default_factory=list)
    deliveries: list[KeptDelivery] = field(default_factory=list)
    received: list[int] = field(
        default_factory=list
    )  # QoS 2 packet ids from the client, not released


@dataclass(frozen=True, slots=True)
class KeptRetained:
    """A retained message; `is_node`: the node itself keeps this topic, so what is found may be old."""

    message: Message
    is_node: bool


@dataclass(frozen=True, slots=True)
class KeptWill:
    """A will whose client was connected when the process ended."""

    key: SessionKey
    message: Message
    delay_s: int


@dataclass(slots=True)
class Kept:
    """All that was found; `damaged` counts what could not be read."""

    sessions: list[KeptSession] = field(default_factory=list)
    retained: list[KeptRetained] = field(default_factory=list)
    wills: list[KeptWill] = field(default_factory=list)
    damaged: int = 0


Target = tuple[int, int, int, bytes]
"""(sid, packet id, flags, subscription identifiers) of one delivery of a message."""


class Journal(Protocol):
    """Durable notes of sessions, deliveries, retained messages, wills and packet ids."""

    number: int  # of the open group
    through: int  # every group up to this one is on disk
    on_durable: Callable[[int], None]

    @property
    def is_full(self) -> bool:
        """Return whether what waits for its receivers has reached the journal's bound: drop, and count."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """Return how much is noted and not on disk yet."""
        ...

    def new_session(self, key: SessionKey, version: int, expiry_s: int) -> int:
        """Keep a session; return its sid, never used before in this store."""
        ...

    def set_session(self, sid: int, version: int, expiry_s: int, left_s: float) -> None:
        """Change what is known of a session; lazily: within the loss window."""
        ...

    def drop_session(self, sid: int) -> None:
        """Forget a session and everything it holds."""
        ...

    def subscribe(self, sid: int, subscription: KeptSubscription) -> int:
        """Keep a subscription, or replace the one with the same filter."""
        ...

    def unsubscribe(self, sid: int, pattern: str) -> int:
        """Forget a subscription."""
        ...

    def enqueue(self, message: Message, targets: Sequence[Target]) -> int:
        """Keep one message for all its receivers with kept sessions."""
        ...

    def release(self, sid: int, packet_id: int) -> int:
        """Note that PUBREC came: from now on PUBREL is owed, not the message."""
        ...

    def finish(self, sid: int, packet_id: int) -> None:
        """Note that a delivery is over (PUBACK, PUBCOMP, dropped, expired); lazily: repeats are harmless."""
        ...

    def receive(self, sid: int, packet_id: int) -> int:
        """Keep the packet id of a QoS 2 PUBLISH from the client."""
        ...

    def forget(self, sid: int, packet_id: int) -> int:
        """Forget it: PUBREL came."""
        ...

    def retain(self, message: Message, *, is_node: bool = False) -> int:
        """Keep a retained message; an empty payload clears the topic.

        QoS 0 is written within the loss window, the newest of a topic only; the node's own topics every ten
        minutes and at stop.
        """
        ...

    def will(self, key: SessionKey, message: Message | None, delay_s: int = 0) -> None:
        """Keep the will of a connected client, or forget it (None); lazily."""
        ...


class NoJournal:
    """Keeps nothing beyond the process; everything counts as durable at once."""

    number = 0
    through = 0
    is_full = False
    backlog_bytes = 0

    def __init__(self) -> None:
        self.on_durable: Callable[[int], None] = lambda _: None
        self._last = 0

    def new_session(self, key: SessionKey, version: int, expiry_s: int) -> int:
        """Return a number."""
        del key, version, expiry_s
        self._last += 1
        return self._last

    def set_session(self, sid: int, version: int, expiry_s: int, left_s: float) -> None:
        """Keep nothing."""

    def drop_session(self, sid: int) -> None:
        """Keep nothing."""

    def subscribe(self, sid: int, subscription: KeptSubscription) -> int:
        """Keep nothing."""
        del sid, subscription
        return 0

    def unsubscribe(self, sid: int, pattern: str) -> int:
        """Keep nothing."""
        del sid, pattern
        return 0

    def enqueue(self, message: Message, targets: Sequence[Target]) -> int:
        """Keep nothing."""
        del message, targets
        return 0

    def release(self, sid: int, packet_id: int) -> int:
        """Keep nothing."""
        del sid, packet_id
        return 0

    def finish(self, sid: int, packet_id: int) -> None:
        """Keep nothing."""

    def receive(self, sid: int, packet_id: int) -> int:
        """Keep nothing."""
        del sid, packet_id
        return 0

    def forget(self, sid: int, packet_id: int) -> int:
        """Keep nothing."""
        del sid, packet_id
        return 0

    def retain(self, message: Message, *, is_node: bool = False) -> int:
        """Keep nothing."""
        del message, is_node
        return 0

    def will(self, key: SessionKey, message: Message | None, delay_s: int = 0) -> None:
        """Keep nothing."""
