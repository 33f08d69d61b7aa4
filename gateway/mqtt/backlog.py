"""QoS 1 and 2 messages that wait for a client: bounded for each client and for all together, with a policy."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway.mqtt.journal import Journal
from gateway.mqtt.message import Outgoing
from gateway.mqtt.queues import DropPolicy, QueueBounds

if TYPE_CHECKING:
    from gateway.mqtt.outbound import Outbound


class Host(Protocol):
    """What all sessions of a broker share."""

    journal: Journal
    bounds: QueueBounds
    now: Callable[[], float]
    held: "set[Outbound]"  # with deliveries that wait for the disk

    def wake(self, session: "Outbound") -> None:
        """Have its output written soon."""
        ...


class Backlog:
    """What waits for one client; `sid` > 0: the journal keeps what it gets at QoS 1 and 2."""

    __slots__ = ("dropped", "host", "own_bounds", "queued_bytes", "sid", "unsent")

    def __init__(self, host: Host) -> None:
        """Begin with nothing."""
        self.host = host
        self.sid = 0  # in the journal; 0: not there
        self.unsent: deque[tuple[int, int, Outgoing]] | None = (
            None  # (packet id, journal number, ...)
        )
        self.own_bounds: tuple[int, int] | None = None  # (count, bytes) in place of everybody's
        self.queued_bytes = 0
        self.dropped = 0

    @property
    def queued(self) -> int:
        """Return how many messages wait to be sent."""
        return len(self.unsent) if self.unsent else 0

    def _make_room(self, size: int) -> bool:
        """Make room for a message, at the cost of older ones if that is the policy; False: it has to go itself."""
        bounds = self.host.bounds
        most_count, most_bytes = self.own_bounds or (bounds.count, bounds.bytes)
        if self.unsent is None:
            self.unsent = deque()  # 600 bytes that most clients never need
        while (
            len(self.unsent) >= most_count
            or self.queued_bytes + size > most_bytes
            or bounds.used_bytes + size > bounds.all_bytes
        ):
            self.dropped += 1
            if bounds.policy is DropPolicy.NEWEST or not self.unsent:
                return False
            self._drop_oldest()
        return True

    def _wait(self, packet_id: int, number: int, outgoing: Outgoing) -> None:
        """Put a message behind what waits; there is room."""
        assert self.unsent is not None
        size = size_of(outgoing)
        self.unsent.append((packet_id, number, outgoing))
        self.queued_bytes += size
        self.host.bounds.used_bytes += size

    def _drop_oldest(self) -> None:
        packet_id, _, _ = self._take_unsent()
        if self.sid:
            self.host.journal.finish(self.sid, packet_id)

    def _take_unsent(self) -> tuple[int, int, Outgoing]:
        assert self.unsent is not None
        item = self.unsent.popleft()
        size = size_of(item[2])
        self.queued_bytes -= size
        self.host.bounds.used_bytes -= size
        return item


def size_of(outgoing: Outgoing) -> int:
    """Return what a waiting message counts against the bounds, in bytes."""
    message = outgoing[0]
    return len(message.raw) + len(message.payload) + len(message.properties)
