"""The message log's bookkeeping: which deliveries live in which segment, and which segments may go.

In memory there are one int a delivery and three counters a segment; the bytes lie on disk only.  Segments leave from the oldest end: when none of their deliveries lives,
or, once the log is larger than three times what lives in it, after those few were copied into a newer segment.
So a note about a delivery always lies in a younger segment than the delivery, and is gone only after it.
"""

from collections.abc import Iterable, Sequence

from gateway.mqtt.journal import Target
from gateway.mqtt.message import Message
from gateway.store import mqtt_segments as segments
from gateway.store.mqtt_plan import RELEASED, SEQUENCE, SHIFT, Live, Plan
from gateway.store.mqtt_segments import EXPIRES, HEAD, MESSAGE, ONE, RETAIN, TARGET

ROW_BYTES = (
    512  # what a row costs beside its blob, in memory and on disk: many tiny ones are merged
)
LEAST_LOG_BYTES = 4 << 20  # below this, copying saves nothing worth its writes
GARBAGE_FACTOR = 3
COPIED_BYTES = 256 << 10  # of old segments, read in one commit; or four times what it adds


class Segment:
    """Counters of one row; `weight` is the share of its bytes that one delivery has."""

    __slots__ = ("count", "live", "number", "size", "weight")

    def __init__(self, number: int, size: int = 0, count: int = 0) -> None:
        self.number = number
        self.size = size
        self.count = count
        self.live = 0
        self.weight = size // count if count else 0


class MessageLog:
    """Notes of the open group, and where every living delivery lies."""

    def __init__(self, least_bytes: int = LEAST_LOG_BYTES) -> None:
        """Begin empty; a log below `least_bytes` is not copied."""
        self.least_bytes = least_bytes
        self.bytes = 0  # on disk, rows included
        self.live_bytes = 0  # of messages with living deliveries, once written; estimated by weight
        self.open = Segment(1)
        self._base = 1 << SHIFT
        self._sequence = 1
        self._parts: list[bytes] = []
        self._finished: list[int] = []
        self._released: list[int] = []
        self._segments: dict[int, Segment] = {1: self.open}  # oldest first
        self._live: Live = {}

    @property
    def live(self) -> int:
        """Return how many deliveries live."""
        return sum(len(held) for held in self._live.values())

    @property
    def rows(self) -> int:
        """Return how many segments there are, the open one included."""
        return len(self._segments)

    def restore(
        self, found: Sequence[Segment], live: Iterable[tuple[int, int, int, int]], sequence: int
    ) -> None:
        """Take over what lies on disk: segments, (segment and marks as packed here, sid, packet id), next number."""
        self._segments = {segment.number: segment for segment in found}
        self.bytes = sum(segment.size + ROW_BYTES for segment in found)
        for number, value, sid, packet_id in live:
            self._live.setdefault(sid, {})[packet_id] = number << SHIFT | value
            segment = self._segments[number]
            segment.live += 1
            self.live_bytes += segment.weight
        self._sequence = sequence
        self._begin(max(self._segments, default=0) + 1)

    # ---- notes ----

    def add(self, message: Message, targets: Sequence[Target], expiry: bytes) -> None:
        """Note a message and who gets it; `expiry` as a segment holds it, b"" for never."""
        raw, properties, payload = message.raw, message.properties, message.payload
        topic_size, properties_size, size = len(raw), len(properties), len(payload)
        marks = message.qos | (RETAIN if message.retain else 0) | (EXPIRES if expiry else 0)
        sequence, segment, count = self._sequence, self.open, len(targets)
        if count == 1:
            [(sid, packet_id, flags, identifiers)] = targets
            head = ONE.pack(
                *(MESSAGE, marks, topic_size, properties_size, size, 1),
                *(sequence, sid, packet_id, flags, len(identifiers)),
            )
            self._parts += (head, identifiers, expiry, raw, properties, payload)
            self._hold(sid, packet_id, sequence)
        else:
            parts = [HEAD.pack(MESSAGE, marks, topic_size, properties_size, size, count)]
            for number, (sid, packet_id, flags, identifiers) in enumerate(targets, sequence):
                parts.append(TARGET.pack(number, sid, packet_id, flags, len(identifiers)))
                parts.append(identifiers)
                self._hold(sid, packet_id, number)
            self._parts += (*parts, expiry, raw, properties, payload)
        self._sequence = sequence + count
        segment.size += HEAD.size + TARGET.size * count + topic_size + properties_size + size
        segment.count += count
        segment.live += count

    def _hold(self, sid: int, packet_id: int, sequence: int) -> None:
        held = self._live.get(sid)
        if held is None:
            held = self._live[sid] = {}
        elif packet_id in held:
            self.finish(sid, packet_id)  # nobody tells two deliveries with one packet id apart
            held = self._live.setdefault(sid, held)
        held[packet_id] = self._base | sequence

    def finish(self, sid: int, packet_id: int) -> bool:
        """Note that a delivery is over; False when it is not known."""
        held = self._live.get(sid)
        value = held.pop(packet_id, 0) if held is not None else 0
        if not value:
            return False
        if not held:
            del self._live[sid]
        segment = self._segments[value >> SHIFT]
        segment.live -= 1
        self.live_bytes -= segment.weight
        self._finished.append(value)
        return True

    def release(self, sid: int, packet_id: int) -> bool:
        """Note that PUBREC came; False when the delivery is not known."""
        held = self._live.get(sid)
        value = held.get(packet_id, 0) if held is not None else 0
        if held is None or not value:
            return False
        held[packet_id] = value | RELEASED
        self._released.append(value & SEQUENCE)
        return True

    def drop(self, sid: int) -> None:
        """Forget the deliveries of a session; without its row nobody finds them again."""
        for value in self._live.pop(sid, {}).values():
            segment = self._segments[value >> SHIFT]
            segment.live -= 1
            self.live_bytes -= segment.weight

    # ---- commits ----

    def seal(self, *, may_copy: bool = True) -> Plan | None:
        """Close the open group and return what to write, or None when there is nothing to do."""
        through = self._drop_dead()
        leaving = self._leaving() if may_copy else []
        through = leaving[-1] if leaving else through
        finished = [value & SEQUENCE for value in self._finished if value >> SHIFT > through]
        if finished:
            self._parts.append(segments.encoded_notes(segments.FINISHED, finished))
        if self._released:
            self._parts.append(segments.encoded_notes(segments.RELEASED, self._released))
        self._finished, self._released = [], []
        if not self._parts and not through:
            return None
        segment = self.open
        data = b"".join(self._parts)
        self._parts = []
        if data:
            segment.size = len(data)
            segment.weight = segment.size // segment.count if segment.count else 0
            self.bytes += segment.size + ROW_BYTES
            self.live_bytes += segment.weight * segment.live
        else:
            del self._segments[segment.number]
        copy = segment.number
        if leaving:
            copy += 1
            self._segments[copy] = Segment(copy)
        self._begin(copy + 1)
        return Plan(segment.number, data, through, leaving, copy, self._live)

    def written(self, plan: Plan) -> None:
        """Note, on the event loop, that a plan is on disk."""
        for number in plan.leaving:
            old = self._segments.pop(number)
            self.bytes -= old.size + ROW_BYTES
            self.live_bytes -= old.weight * old.live
        if plan.leaving:
            self._moved(plan)
        if plan.damaged:
            self._forget_lost()

    # ---- small parts ----

    def _moved(self, plan: Plan) -> None:
        if not plan.moved:
            del self._segments[plan.copy]
            return
        copy = self._segments[plan.copy]
        copy.size, copy.count = plan.moved_bytes, len(plan.moved)
        copy.weight = copy.size // copy.count
        for sid, packet_id, sequence in plan.moved:
            held = self._live.get(sid)
            value = held.get(packet_id, 0) if held is not None else 0
            if held is None or value & SEQUENCE != sequence:  # over since: its copy is not
                self._finished.append(plan.copy << SHIFT | sequence)
                continue
            held[packet_id] = plan.copy << SHIFT | value & (RELEASED | SEQUENCE)
            copy.live += 1
        self.bytes += copy.size + ROW_BYTES
        self.live_bytes += copy.weight * copy.live

    def _forget_lost(self) -> None:
        """Forget deliveries that lay in a damaged segment; the broker still has them while it runs."""
        for sid, held in list(self._live.items()):
            kept = {n: value for n, value in held.items() if value >> SHIFT in self._segments}
            if kept:
                self._live[sid] = kept
            else:
                del self._live[sid]

    def _begin(self, number: int) -> None:
        self.open = self._segments[number] = Segment(number)
        self._base = number << SHIFT

    def _drop_dead(self) -> int:
        """Forget the oldest segments without living deliveries; return the last one's number, or 0."""
        through = 0
        while True:
            number, segment = next(iter(self._segments.items()))
            if segment.live or segment is self.open:
                break
            del self._segments[number]
            self.bytes -= segment.size + ROW_BYTES
            through = number
        return through

    def _leaving(self) -> list[int]:
        """Choose the oldest segments to be copied, when too much of the log is dead."""
        most = max(self.least_bytes, GARBAGE_FACTOR * self.live_bytes)
        budget = max(COPIED_BYTES, 4 * self.open.size)
        size, chosen = self.bytes + self.open.size, []
        for number, segment in self._segments.items():
            if size <= most or budget <= 0 or segment is self.open:
                break
            chosen.append(number)
            size -= segment.size + ROW_BYTES
            budget -= segment.size + ROW_BYTES
        return chosen
