"""Which blocks are on their way: credit, order, pace, and when an answer is overdue.

Blocks of one stream (log, live or history) are offered in number order, each naming the one before it.  When
one is not taken, everything behind it in its stream is offered again after it (go back N): order needs that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model.block import SEAL_BYTES, Block
from gateway.model.ranges import RangeSet
from gateway.uplink.protocol.frames import Credit

LEAST_PATIENCE_MS = 5_000  # section 6
PATIENCE = 4  # times the usual answer
LEAST_HISTORY_BYTES = SEAL_BYTES  # one block at least, on the slowest of links
SLOW_ANSWER_MS = 1_000  # history backs off so that a live reading never waits longer behind it
QUICK_ANSWER_MS = 500
START_ANSWER_MS = 1_000

Key = tuple[str, int]
Stream = tuple[str, bool]


@dataclass(slots=True)
class Offer:
    """One block on its way."""

    last: int
    size_bytes: int
    is_live: bool
    prev: int
    sent_ms: int


class OfferWindow:
    """State of one session's offers."""

    def __init__(self, credit: Credit, now_ms: int) -> None:
        self.credit = credit
        self._offers: dict[Key, Offer] = {}  # in the order they were sent
        self._settling: dict[Key, int] = {}  # answered, not yet out of the spool -> last number
        self._newest: dict[Stream, int] = {}
        self._usual_ms: float = START_ANSWER_MS
        self._history_bytes = LEAST_HISTORY_BYTES
        self._allowance = float(LEAST_HISTORY_BYTES)
        self._paced_ms = now_ms
        self._strikes = 0
        self.resume_ms = now_ms

    def keys(self) -> frozenset[Key]:
        """Return what must not be read from the spool again."""
        return frozenset(self._offers) | frozenset(self._settling)

    def room(self, now_ms: int, *, is_live: bool) -> int:
        """Return how many bytes may be offered now; a window that is empty always has room for one block."""
        if now_ms < self.resume_ms:
            return 0
        used = sum(o.size_bytes for o in self._offers.values() if o.is_live is is_live)
        if is_live:
            return max(self.credit.live_bytes - used, 0 if used else 1)
        self._refill(now_ms)
        if self._allowance <= 0:
            return 0
        most = min(self._history_bytes, self.credit.history_bytes)
        return max(most - used, 0 if used else 1)

    def offer(self, block: Block, now_ms: int, *, is_live: bool) -> int:
        """Note a block as sent; returns the number it follows in its stream (0: it is the session's first)."""
        stream = (block.log, is_live)
        prev = self._newest.get(stream, 0)
        self._newest[stream] = block.last
        self._offers[block.key] = Offer(block.last, len(block.data), is_live, prev, now_ms)
        if not is_live:
            self._allowance -= len(block.data)
        return prev

    def follows(self, block: Block, *, is_live: bool) -> bool:
        """Return whether a block comes after everything offered in its stream."""
        return block.first > self._newest.get((block.log, is_live), 0)

    def answered(self, log: str, ranges: RangeSet, now_ms: int) -> None:
        """Take out what the parent has; it counts as settling until `settled`."""
        for key, offer in list(self._offers.items()):
            if key[0] == log and ranges.covers(key[1], offer.last):
                del self._offers[key]
                self._settling[key] = offer.last
                self._strikes = 0
                self._learn(now_ms - offer.sent_ms, is_live=offer.is_live)

    def settled(self, log: str, ranges: RangeSet) -> None:
        """Forget answered blocks that the spool has let go of."""
        for key, last in list(self._settling.items()):
            if key[0] == log and ranges.covers(key[1], last):
                del self._settling[key]

    def refused_for_now(self, log: str, first: int, resume_ms: int) -> None:
        """Go back to a block that was not taken: it and all behind it in its stream are offered again."""
        offer = self._offers.get((log, first))
        if offer is None:
            return
        self.resume_ms = max(self.resume_ms, resume_ms)
        self._go_back(log, first, offer)

    def overdue(self, now_ms: int) -> bool:
        """Offer the oldest unanswered block again if its answer is late; returns True if that was tried before."""
        oldest = next(iter(self._offers.items()), None)
        if oldest is None or now_ms < oldest[1].sent_ms + self.patience_ms:
            return False
        self._strikes += 1
        (log, first), offer = oldest
        self._go_back(log, first, offer)
        return self._strikes > 1

    @property
    def patience_ms(self) -> int:
        """Return how long an answer may take."""
        return max(LEAST_PATIENCE_MS, int(PATIENCE * self._usual_ms))

    def due_ms(self, now_ms: int) -> int | None:
        """Return when this window has to be looked at again, if nothing happens before."""
        moments = [self.resume_ms] if self.resume_ms > now_ms else []
        if self._offers:
            moments.append(next(iter(self._offers.values())).sent_ms + self.patience_ms)
        if self._allowance <= 0:
            rate = max(self.credit.history_bytes_per_s, 1)
            moments.append(now_ms + 1 + int(-self._allowance * 1000 / rate))
        return min(moments, default=None)

    def stats(self) -> Mapping[str, int]:
        """Return counters for status pages."""
        return {
            "offered_blocks": len(self._offers),
            "offered_bytes": sum(offer.size_bytes for offer in self._offers.values()),
            "usual_answer_ms": int(self._usual_ms),
        }

    def _go_back(self, log: str, first: int, offer: Offer) -> None:
        for key, other in list(self._offers.items()):
            if key[0] == log and key[1] >= first and other.is_live is offer.is_live:
                del self._offers[key]
        self._newest[log, offer.is_live] = offer.prev

    def _learn(self, took_ms: int, *, is_live: bool) -> None:
        self._usual_ms += (took_ms - self._usual_ms) / 8  # as TCP smooths its round trip (RFC 6298)
        if is_live:
            return
        if took_ms > SLOW_ANSWER_MS:
            self._history_bytes = max(self._history_bytes // 2, LEAST_HISTORY_BYTES)
        elif took_ms < QUICK_ANSWER_MS:
            self._history_bytes = min(self._history_bytes * 2, self.credit.history_bytes)

    def _refill(self, now_ms: int) -> None:
        rate = self.credit.history_bytes_per_s
        most = max(rate / 4, LEAST_HISTORY_BYTES)
        self._allowance = min(self._allowance + (now_ms - self._paced_ms) * rate / 1000, most)
        self._paced_ms = now_ms
