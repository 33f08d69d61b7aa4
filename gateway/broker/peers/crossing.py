"""Both ends of a bridge while they stand: each message of one is handed to the other, acknowledged once that has it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.broker.peers.counts import Counts
from gateway.broker.peers.local import LocalLeg
from gateway.broker.peers.loops import Loops, hops_of, with_hop
from gateway.broker.peers.ordered import Ordered
from gateway.broker.peers.remote import RemoteLeg
from gateway.broker.peers.rules import Rules
from gateway.broker.peers.speech import Peer
from gateway.mqtt.client_packets import PublishPacket
from gateway.mqtt.reasons import UNSPECIFIED_ERROR

MOST_NAME_BYTES = 65_535  # of a topic (MQTT 1.5.3)
HEAD_BYTES = 32  # of a PUBLISH beside topic, properties and payload, generously
MOST_PENDING = 100  # taken from the other broker and not yet in ours: then nothing more is read
REPLAY_S = 2.0  # after subscribing, retained messages are what the other broker had


@dataclass(frozen=True, slots=True)
class Guide:
    """What a bridge knows beside its two ends."""

    name: str
    rules: Rules
    loops: Loops
    counts: Counts
    now: Callable[[], float]
    is_retained_here: Callable[[str], bool]


class Crossing:
    """One standing connection; `near` and `far` are set before the first message comes."""

    near: LocalLeg
    far: RemoteLeg
    peer: Peer

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._outward_numbers: dict[int, int] = {}  # the other broker's packet id -> ours
        self._taken_here = Ordered(self._ack_here)
        self._taken_there = Ordered(self._ack_there)
        self._is_paused = False
        self._replay_until = 0.0

    def begin(self) -> None:
        """Note that the other broker was asked for its topics."""
        if not self.peer.is_present:
            self._replay_until = self._guide.now() + REPLAY_S

    @property
    def inflight(self) -> int:
        """Return how many messages are on their way to the other broker."""
        return len(self._taken_here)

    def _ack_here(self, number: int) -> None:
        self.near.ack(number)

    def _ack_there(self, number: int) -> None:
        self.far.ack(number)

    # ---- from here to there ----

    def outward(self, packet: PublishPacket) -> None:
        """Hand on a message of our own broker."""
        if packet.qos and not self._taken_here.take(packet.number):
            return
        found = self._translated(packet)
        if isinstance(found, str):
            self._guide.counts.drop(found, packet.topic)
            self._finish_here(packet)
            return
        number = self.far.publish(found)
        if not found.qos:
            self._finish_here(packet)
            self._guide.counts.sent += 1
        elif number:
            self._outward_numbers[number] = packet.number

    def _finish_here(self, packet: PublishPacket) -> None:
        if packet.qos:
            self._taken_here.done(packet.number)

    def _translated(self, packet: PublishPacket) -> PublishPacket | str:
        """Return the message as the other broker gets it, or why it does not."""
        guide, peer = self._guide, self.peer
        if self.far.is_slow and not packet.qos:  # came before our own broker heard of it
            return "away"
        mapped = guide.rules.outward(packet.topic)
        if mapped is None:
            return "rule"
        topic, qos = mapped
        if len(topic.encode()) > MOST_NAME_BYTES:
            return "name"
        if guide.loops.came_back(packet.properties) == "hops":
            return "hops"
        qos = min(packet.qos, qos, peer.most_qos)
        there = replace(
            packet,
            topic=topic,
            qos=qos,
            retain=packet.retain and peer.may_retain,
            properties=with_hop(packet.properties, guide.loops.hop),
        )
        if 0 < peer.most_bytes < self.far.size_of(there):
            return "size"
        if peer.dialect.version < 5:
            own = peer.returns_own
            guide.loops.note(guide.name, topic, packet.payload, own_returns=own)
        return there

    def acked(self, number: int, reason: int) -> None:
        """Handle the other broker's PUBACK."""
        taken = self._outward_numbers.pop(number, None)
        if taken is None:
            return
        if reason >= UNSPECIFIED_ERROR:
            self._guide.counts.drop("there", f"reason {reason:#04x}")
        else:
            self._guide.counts.sent += 1
        self._taken_here.done(taken)

    def slow(self, is_slow: bool) -> None:  # noqa: FBT001 - the far end's shape
        """Let our own broker hold back while the other one does not read."""
        self.near.slow(is_slow=is_slow)

    # ---- from there to here ----

    def inward(self, packet: PublishPacket) -> None:
        """Hand on a message of the other broker."""
        if packet.qos and not self._taken_there.take(packet.number):
            return
        found = self._admitted(packet)
        if isinstance(found, str):
            self._guide.counts.drop(found, packet.topic)
        else:
            self.near.publish(found, lambda reason: self._kept_here(packet, reason))
            self._guide.counts.received += not found.qos
        if packet.qos and (isinstance(found, str) or not found.qos):
            self._taken_there.done(packet.number)
        self._look()

    def _admitted(self, packet: PublishPacket) -> PublishPacket | str:
        """Return the message as our own broker gets it, or why it does not."""
        guide = self._guide
        mapped = guide.rules.inward(packet.topic)
        if mapped is None:
            return "rule"
        topic, qos = mapped
        why = guide.loops.came_back(packet.properties)
        if why is not None:
            return why
        if not hops_of(packet.properties) and guide.loops.is_known(
            guide.name, packet.topic, packet.payload, own_returns=self.peer.returns_own
        ):
            return "loop"
        if packet.retain and self._is_ours(topic):
            return "kept"
        here = replace(packet, topic=topic, qos=min(packet.qos, qos))
        if self._size_here(here) > self.near.most_bytes:
            return "size"
        return here

    def _is_ours(self, topic: str) -> bool:
        """Return whether a retained message meets one of ours that goes the other way: each would replace the other."""
        guide = self._guide
        return (
            guide.now() < self._replay_until
            and guide.rules.outward(topic) is not None
            and guide.is_retained_here(topic)
        )

    @staticmethod
    def _size_here(packet: PublishPacket) -> int:
        said = sum(len(str(value)) * 4 + 8 for value in packet.properties.values())
        return HEAD_BYTES + len(packet.topic.encode()) + said + len(packet.payload)

    def _kept_here(self, packet: PublishPacket, reason: int) -> None:
        if reason >= UNSPECIFIED_ERROR:
            self._guide.counts.drop("here", packet.topic)
        else:
            self._guide.counts.received += 1
        self._taken_there.done(packet.number)
        self._look()

    def readable(self) -> None:
        """Go on after our own broker paused."""
        self._look()

    def _look(self) -> None:
        """Read from the other broker only as fast as ours takes it; half of the bound lies between stop and go."""
        pending = max(len(self._taken_there), self.near.unanswered)
        if not self._is_paused and (self.near.is_full or pending >= MOST_PENDING):
            self._is_paused = True
            self.far.pause()
        elif self._is_paused and not self.near.is_full and pending <= MOST_PENDING // 2:
            self._is_paused = False
            self.far.resume()
