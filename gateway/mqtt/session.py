"""One client's MQTT state: what it is sent (`outbound`), what it must still be told, what it subscribed to."""

from collections import deque
from collections.abc import Callable

from gateway.mqtt.backlog import SENT_BEFORE, Host, size_of
from gateway.mqtt.message import Outgoing
from gateway.mqtt.outbound import Outbound
from gateway.mqtt.packets import ack
from gateway.mqtt.ports import Principal

RECEIVE_MAXIMUM = 1000  # QoS 1 and 2 messages a client may have unacknowledged (MQTT 5, 3.2.2.3.3)
UNACKED_COUNT = 100  # own publishes waiting for settlement before the reader pauses
UNACKED_BYTES = 256 << 10
PAUSE_SHARE, RESUME_SHARE = 0.75, 0.5  # of the two above: no flapping at the edge

Ack = tuple[int, int, bytes, int]
"""(settle number, group of the journal, packet, bytes of its message): an answer that waits for both."""
NO_ACKS: list[Ack] = []
NO_FILTERS: dict[str, int] = {}
"""What idle clients share instead of empty ones of their own; never written to."""

PUBACK_FIRST, PUBREC_FIRST, PUBREL_FIRST, PUBCOMP_FIRST = 0x40, 0x50, 0x62, 0x70


class MqttSession(Outbound):
    """State that outlives a connection when the client asked for it (`expiry_s` > 0)."""

    __slots__ = (
        "acks",
        "claimed",
        "client_id",
        "expiry_s",
        "forgotten",
        "principal",
        "received",
        "subscriptions",
        "unacked_bytes",
    )

    def __init__(self, principal: Principal, client_id: str, host: Host) -> None:
        """Begin without a connection."""
        super().__init__(host)
        self.principal = principal
        self.client_id = client_id
        self.expiry_s = 0  # how long it is kept without a connection
        self.received: dict[int, tuple[int, int]] | None = None  # QoS 2 from the client
        self.forgotten = 0  # group of the newest note that a packet id is free again
        self.acks = NO_ACKS
        self.unacked_bytes = 0
        self.subscriptions = NO_FILTERS  # filter in the trie -> identifier, 0 for none
        self.claimed: dict[str, int] | None = None  # uuid filters, kept by the mesh -> QoS

    @property
    def is_kept(self) -> bool:
        """Return whether it outlives its connection."""
        return self.expiry_s > 0

    @property
    def is_answering(self) -> bool:
        """Return whether an answer waits: retained messages follow their SUBACK."""
        return bool(self.acks)

    # ---- acknowledgements of what the client published ----

    def acknowledge(
        self, packet: bytes, settle: int, group: int, *, through: int, size: int
    ) -> None:
        """Answer once `settle` is reached and `group` durable, and never before earlier answers."""
        if self.acks or settle > through or group > self.host.journal.through:
            if self.acks is NO_ACKS:
                self.acks = []
            self.acks.append((settle, group, packet, size))
            self.unacked_bytes += size
            return
        self.out.append(packet)
        if not self.is_dirty:
            self.host.wake(self)

    def release(self, through: int) -> bool:
        """Send the acknowledgements that are due; return whether any is left."""
        due = 0
        durable = self.host.journal.through
        for settle, group, packet, size in self.acks:
            if settle > through or group > durable:
                break
            due += 1
            self.unacked_bytes -= size
            self.answer(packet)
        del self.acks[:due]  # at most UNACKED_COUNT: a list costs less than a deque's 600 bytes
        return bool(self.acks)

    def is_over(self, share: float) -> bool:
        """Return whether unacknowledged publishes exceed this share of what a client may have."""
        return len(self.acks) > UNACKED_COUNT * share or self.unacked_bytes > UNACKED_BYTES * share

    # ---- the connection comes and goes ----

    def attached(self, write: Callable[[bytes], None]) -> None:
        """Take a connection: send again what was not acknowledged, then what waited.

        Called after CONNACK was put in `out`.  Nothing that came before its answer is answered twice: a client
        that reconnects sends it again (MQTT-4.4.0-1).
        """
        self.is_behind = False
        self.write = write
        if self.inflight:
            again = [(number, SENT_BEFORE, outgoing) for number, outgoing in self.inflight.items()]
            self.again = (self.again or set()) | set(self.inflight)
            self.inflight.clear()
            size = sum(size_of(outgoing) for _, _, outgoing in again)
            self.queued_bytes += size
            self.host.bounds.used_bytes += size
            self.unsent = deque(again + list(self.unsent or ()))
        if self.out and not self.is_dirty:
            self.host.wake(self)
        for number, group in (self.released or {}).items():
            self.acknowledge(ack(PUBREL_FIRST, number), 0, group, through=0, size=0)
        self.pump()

    def detached(self) -> None:
        """Lose the connection; a session that is not kept is thrown away by its owner."""
        self.is_behind = True
        self.write = None
        self.out.clear()
        self.replays = None
        self.aliases = None
        self.acks.clear()
        self.unacked_bytes = 0

    def restore(self, waiting: list[tuple[int, int, Outgoing]], released: list[int]) -> None:
        """Take what was found of a session: unfinished messages in order, and the ids that PUBREL is owed for.

        No bound applies: each was accepted, and is on disk.
        """
        self.unsent = deque()
        for item in waiting:
            self._wait(*item)
        self.again = {number for number, _, _ in waiting} or None
        self.released = dict.fromkeys(released, 0) or None
        self._next_id = waiting[-1][0] if waiting else max(released, default=0)

    def discard(self) -> list[Outgoing]:
        """End for good: give back the room of what waits; return what was never finished, in order."""
        rest = [*self.inflight.values(), *(item[2] for item in self.unsent or ())]
        self.host.bounds.used_bytes -= self.queued_bytes
        self.queued_bytes = 0
        self.inflight.clear()
        self.unsent = self.again = None
        return rest

    # ---- QoS 2 from the client ----

    def repeated(self, packet_id: int) -> tuple[int, int] | None:
        """Return (settle, group) of a QoS 2 PUBLISH that was taken already."""
        return self.received.get(packet_id) if self.received else None

    def take(self, packet_id: int, settle: int, group: int) -> None:
        """Remember a QoS 2 PUBLISH until its PUBREL."""
        if self.received is None:
            self.received = {}
        self.received[packet_id] = (settle, group)

    def exceeds(self, most: int) -> bool:
        """Return whether the client has as many QoS 1 and 2 messages unfinished as it may (MQTT 5, 4.9)."""
        open_ids = len(self.received) if self.received else 0
        if open_ids + len(self.acks) < most:
            return False
        return (
            open_ids + sum(1 for _, _, packet, _ in self.acks if packet[0] == PUBACK_FIRST) >= most
        )

    def forget(self, packet_id: int) -> tuple[int, bool]:
        """Handle PUBREL: forget the id; return (group to wait for before PUBCOMP, whether the id was known).

        A repeated PUBREL waits for what the first one noted: before that, a crash would find the id in use.
        """
        is_known = self.received is not None and packet_id in self.received
        if is_known and self.received is not None:
            del self.received[packet_id]
            if self.sid:
                self.forgotten = self.host.journal.forget(self.sid, packet_id)
        return (self.forgotten if self.sid else 0), is_known
