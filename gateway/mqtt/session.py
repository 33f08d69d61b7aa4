"""One client's MQTT state: what it must still be sent, what it must still be told, what it subscribed to.

Bytes go to `out`; whoever owns the connection empties it (once per loop tick) after `wake` was called.  A session
without a connection, or whose connection takes no more, is *behind*: QoS 0 is dropped, QoS 1 queued.
"""

from collections.abc import Callable, Iterator

from gateway.mqtt.packets import ack, head1, publish0
from gateway.mqtt.ports import Principal
from gateway.mqtt.queues import BoundedQueue, DropPolicy

SEND_WINDOW = (
    100  # QoS 1 messages sent and not acknowledged; mosquitto's 20 halves the speed over a WAN
)
QUEUE_COUNT = 1000  # per session
QUEUE_BYTES = 1 << 20
MAX_RECEIVED = 1000  # QoS 2 ids between PUBLISH and PUBREL; more is a client that never releases
UNACKED_COUNT = 100  # own publishes waiting for settlement
UNACKED_BYTES = 256 << 10
PAUSE_SHARE, RESUME_SHARE = 0.75, 0.5  # of the two above: no flapping at the edge

PUBACK_FIRST, PUBREC_FIRST = 0x40, 0x50

REPLAY_BYTES = 256 << 10  # retained messages sent per turn; the rest follows once these are written

Replay = Iterator[tuple[bytes, bytes, int]]
"""Retained messages still to be sent: (topic, payload, QoS), read from the store when their turn comes."""


class MqttSession:
    """State that outlives a connection when the client asked for it (`is_kept`)."""

    __slots__ = (
        "_next_id",
        "acks",
        "claimed",
        "client_id",
        "dropped",
        "inflight",
        "is_behind",
        "is_dirty",
        "is_kept",
        "out",
        "principal",
        "queue",
        "received",
        "replays",
        "sent",
        "subscriptions",
        "unacked_bytes",
        "wake",
        "write",
    )

    def __init__(
        self,
        principal: Principal,
        client_id: str,
        wake: Callable[["MqttSession"], None],
        *,
        is_kept: bool = False,
        policy: DropPolicy = DropPolicy.OLDEST,
    ) -> None:
        """Begin without a connection: behind until `attached`."""
        self.principal = principal
        self.client_id = client_id
        self.wake = wake
        self.is_kept = is_kept
        self.out: list[bytes] = []
        self.is_dirty = False
        self.is_behind = True
        self.inflight: dict[int, tuple[bytes, bytes]] = {}
        self.queue = BoundedQueue(QUEUE_COUNT, QUEUE_BYTES, policy)
        self.acks: list[tuple[int, bytes, int]] = []  # (settle number, packet, bytes it holds)
        self.unacked_bytes = 0
        self.received: dict[int, int] = {}  # QoS 2 packet id -> settle number
        self.subscriptions: set[str] = set()  # filters in the trie
        self.claimed: dict[str, int] = {}  # uuid filters, kept by the mesh -> requested QoS
        self.replays: list[Replay] = []
        self.write: Callable[[bytes], None] | None = None  # the connection's, while there is one
        self.sent = 0
        self.dropped = 0
        self._next_id = 0

    # ---- towards the client ----

    def send0(self, packet: bytes) -> bool:
        """Send a whole QoS 0 packet; False when the client is behind and it was dropped."""
        if self.is_behind:
            self.dropped += 1
            return False
        self.out.append(packet)
        self.sent += 1
        if not self.is_dirty:
            self.wake(self)
        return True

    def send1(self, head: bytes, payload: bytes) -> bool:
        """Send or queue a QoS 1 message (`head` of `packets.head1`); False when a message was dropped."""
        if self.is_behind or self.queue or len(self.inflight) >= SEND_WINDOW:
            dropped = self.queue.push(head, payload)
            self.dropped += dropped
            return not dropped
        self._transmit(head, payload)
        return True

    def answer(self, packet: bytes) -> None:
        """Send a protocol answer; never dropped, bounded by what the client asked."""
        self.out.append(packet)
        if not self.is_dirty:
            self.wake(self)

    def _transmit(self, head: bytes, payload: bytes) -> None:
        inflight = self.inflight
        number = self._next_id % 65535 + 1
        while number in inflight:
            number = number % 65535 + 1
        self._next_id = number
        inflight[number] = (head, payload)
        self.out += (head, number.to_bytes(2, "big"), payload)
        self.sent += 1
        if not self.is_dirty:
            self.wake(self)

    def acknowledged(self, number: int) -> None:
        """Handle a PUBACK; unknown ids are ignored, they may stem from an earlier connection."""
        if self.inflight.pop(number, None) is not None and self.queue:
            self.pump()

    def pump(self) -> None:
        """Send what waits (retained messages, then the queue) as far as window and connection allow."""
        if self.replays:
            self._replay()
        queue = self.queue
        while queue and not self.is_behind and len(self.inflight) < SEND_WINDOW:
            self._transmit(*queue.pop())

    def _replay(self) -> None:
        room = REPLAY_BYTES
        while self.replays and room > 0 and not self.is_behind:
            item = next(self.replays[0], None)
            if item is None:
                del self.replays[0]
                continue
            topic, payload, qos = item
            room -= len(topic) + len(payload) + 8
            if qos:
                self.send1(head1(topic, len(payload), 0x33), payload)
            else:
                self.send0(publish0(topic, payload, 0x31))

    def flush(self) -> None:
        """Write everything in `out` at once; called by the owner, once per loop tick."""
        self.is_dirty = False
        out = self.out
        if not out or self.write is None:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self.write(data)
        if self.replays:
            self.pump()

    # ---- acknowledgements of what the client published ----

    def acknowledge(self, packet: bytes, settle: int, through: int, size: int) -> None:
        """Answer a publish once `settle` is reached, and never before the answers of earlier publishes."""
        if settle > through or self.acks:
            self.acks.append((settle, packet, size))
            self.unacked_bytes += size
            return
        self.out.append(packet)
        if not self.is_dirty:
            self.wake(self)

    def release(self, through: int) -> bool:
        """Send the acknowledgements that are due; return whether any is left."""
        due = 0
        for settle, packet, size in self.acks:
            if settle > through:
                break
            due += 1
            self.unacked_bytes -= size
            self.answer(packet)
        del self.acks[
            :due
        ]  # at most UNACKED_COUNT: a list costs less than a deque's 600 bytes a client
        return bool(self.acks)

    def is_over(self, share: float) -> bool:
        """Return whether unacknowledged publishes exceed this share of what a client may have."""
        return len(self.acks) > UNACKED_COUNT * share or self.unacked_bytes > UNACKED_BYTES * share

    # ---- the connection comes and goes ----

    def attached(self, write: Callable[[bytes], None]) -> None:
        """Take a connection: send again what was not acknowledged, then what waited.

        Called after CONNACK was put in `out`.  Nothing that came before its answer is answered twice: a client
        that reconnects sends it again.
        """
        self.is_behind = False
        self.write = write
        for number, (head, payload) in self.inflight.items():
            self.out += (bytes((head[0] | 0x08,)) + head[1:], number.to_bytes(2, "big"), payload)
            self.sent += 1
        if self.out and not self.is_dirty:
            self.wake(self)
        self.pump()

    def detached(self) -> None:
        """Lose the connection; a session that is not kept is thrown away by its owner."""
        self.is_behind = True
        self.write = None
        self.out.clear()
        self.replays.clear()
        self.acks.clear()
        self.unacked_bytes = 0

    # ---- QoS 2 from the client, in memory ----

    def is_repeated(self, number: int) -> bool:
        """Return whether this QoS 2 PUBLISH was taken already."""
        return number in self.received

    def take(self, number: int, settle: int) -> bool:
        """Remember a QoS 2 PUBLISH until its PUBREL; False when the client never releases any."""
        if len(self.received) >= MAX_RECEIVED:
            return False
        self.received[number] = settle
        return True

    def released(self, number: int) -> None:
        """Handle PUBREL: forget the id, answer PUBCOMP."""
        self.received.pop(number, None)
        self.answer(ack(0x70, number))
