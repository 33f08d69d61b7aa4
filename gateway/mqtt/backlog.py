"""QoS 1 and 2 messages that wait for a client: bounded for each client and for all together, with a policy."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from gateway.mqtt.journal import Journal
from gateway.mqtt.message import QOS_BITS, Message, Outgoing
from gateway.mqtt.queues import DropPolicy, QueueBounds

if TYPE_CHECKING:
    from gateway.mqtt.outbound import Outbound

SENT_BEFORE = -1  # in place of a journal number: durable, and to be marked as a duplicate
FOUND = -2  # the same after a restart: nobody knows whether it had been sent


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

    __slots__ = ("again", "dropped", "host", "own_bounds", "queued_bytes", "sid", "unsent")

    def __init__(self, host: Host) -> None:
        """Begin with nothing."""
        self.host = host
        self.sid = 0  # in the journal; 0: not there
        self.unsent: deque[tuple[int, int, Outgoing]] | None = (
            None  # (packet id, journal number, ...)
        )
        self.again: set[int] | None = None  # packet ids of what waits a second time
        self.own_bounds: tuple[int, int] | None = None  # (count, bytes) in place of everybody's
        self.queued_bytes = 0
        self.dropped = 0

    @property
    def queued(self) -> int:
        """Return how many messages wait to be sent."""
        return len(self.unsent) if self.unsent else 0

    def _make_room(self, size: int) -> bool:
        """Make room for a message, at the cost of older ones if that is the policy; False: it has to go itself.

        Nothing goes in vain: for a message that could not fit anyway, or for room that others have taken.
        """
        bounds = self.host.bounds
        most_count, most_bytes = self.own_bounds or (bounds.count, bounds.bytes)
        if self.unsent is None:
            self.unsent = deque()  # 600 bytes that most clients never need
        others = bounds.used_bytes - self.queued_bytes
        if size > most_bytes or others + size > bounds.all_bytes:
            self.dropped += 1
            return False
        while (
            len(self.unsent) >= most_count
            or self.queued_bytes + size > most_bytes
            or bounds.used_bytes + size > bounds.all_bytes
        ):
            self.dropped += 1
            if bounds.policy is DropPolicy.NEWEST or not self._drop_oldest():
                return False
        return True

    def _wait(self, packet_id: int, number: int, outgoing: Outgoing) -> None:
        """Put a message behind what waits; there is room."""
        assert self.unsent is not None
        size = size_of(outgoing)
        self.unsent.append((packet_id, number, outgoing))
        self.queued_bytes += size
        self.host.bounds.used_bytes += size

    def _drop_oldest(self) -> bool:
        """Drop the oldest message whose exchange has not begun; False when there is none."""
        assert self.unsent is not None
        for place, (_, number, outgoing) in enumerate(self.unsent):
            if not has_begun(number, outgoing):
                self._drop(place)
                return True
        return False

    def _drop(self, place: int) -> None:
        assert self.unsent is not None
        packet_id, _, outgoing = self.unsent[place]
        del self.unsent[place]
        self._give_back(packet_id, outgoing)
        if self.sid:
            self.host.journal.finish(self.sid, packet_id)

    def _give_back(self, packet_id: int, outgoing: Outgoing) -> None:
        size = size_of(outgoing)
        self.queued_bytes -= size
        self.host.bounds.used_bytes -= size
        if self.again:
            self.again.discard(packet_id)

    def drop_unless(self, may: Callable[[Message], bool]) -> None:
        """Drop what waits and may no longer be handed over; an exchange that has begun goes on."""
        for place in range(len(self.unsent or ()) - 1, -1, -1):
            assert self.unsent is not None
            _, number, outgoing = self.unsent[place]
            if not has_begun(number, outgoing) and not may(outgoing[0]):
                self.dropped += 1
                self._drop(place)

    def _take_unsent(self) -> tuple[int, int, Outgoing]:
        assert self.unsent is not None
        item = self.unsent.popleft()
        self._give_back(item[0], item[2])
        return item


def has_begun(number: int, outgoing: Outgoing) -> bool:
    """Return whether the client may know a message that waits: such a one is neither dropped nor left to expire.

    After a restart nobody knows; at QoS 1 it is taken as new, at QoS 2 as begun: its packet id may be in use.
    """
    return number == SENT_BEFORE or (number == FOUND and outgoing[1] & QOS_BITS == 2)


def size_of(outgoing: Outgoing) -> int:
    """Return what a waiting message counts against the bounds, in bytes."""
    message = outgoing[0]
    return len(message.raw) + len(message.payload) + len(message.properties)
