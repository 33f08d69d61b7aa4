"""What was refused: counted always, logged once a minute per identity and topic, the latest kept for operators."""

import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass

log = logging.getLogger(__name__)

QUIET_S = 60.0
REMEMBERED = 1024
RECENT = 100  # different refusals kept; a screen or two
MOST_REASONS = 32  # told apart by the counters; texts of claims come from outside this package
MOST_TEXT = 128  # characters kept of what a client has chosen
CONNECT = "CONNECT"
OTHER = "other"


@dataclass(slots=True)
class Refused:
    """One kind of refusal: `what` is a topic, a filter, or CONNECT; `last` is a time of the broker's clock."""

    what: str
    identity: str  # claimed, where it is a CONNECT
    client_id: str
    peer: str  # address of the last one
    reason: str
    count: int
    last: float


class Refusals:
    """Counts, logs, and keeps the latest."""

    def __init__(self) -> None:
        self.total = 0  # publishes, subscriptions and wills
        self.by_reason: Counter[str] = Counter()
        self.connects_by_reason: Counter[str] = Counter()
        self._last: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._recent: OrderedDict[tuple[str, ...], Refused] = OrderedDict()

    def note(
        self,
        identity: str,
        topic: str,
        reason: str,
        now: float,
        *,
        client_id: str = "",
        peer: str = "",
    ) -> bool:
        """Count one refusal of a publish or subscription; return whether it was logged."""
        self.total += 1
        _count(self.by_reason, reason)
        key = (identity, topic[:MOST_TEXT])
        self._keep(Refused(key[1], identity, client_id, peer, reason, 1, now))
        when, unsaid = self._last.get(key, (-QUIET_S, 0))
        if now - when < QUIET_S:
            self._last[key] = (when, unsaid + 1)
            return False
        self._last[key] = (now, 0)
        self._last.move_to_end(key)
        if len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        log.warning(
            "refused",
            extra={
                "identity": identity,
                "topic": key[1],
                "reason": reason,
                "repeated": unsaid,
                "code": "GW-1107",
            },
        )
        return True

    def connect(self, identity: str, client_id: str, peer: str, reason: str, now: float) -> None:
        """Count a CONNECT that was answered with a refusal; `identity` is what it claimed to be."""
        _count(self.connects_by_reason, reason)
        self._keep(
            Refused(CONNECT, identity[:MOST_TEXT], client_id[:MOST_TEXT], peer, reason, 1, now)
        )

    def recent(self) -> list[Refused]:
        """Return what was refused lately, newest first."""
        return list(reversed(self._recent.values()))

    def _keep(self, refused: Refused) -> None:
        address = refused.peer.rpartition(":")[0] if refused.what == CONNECT else ""
        key = (refused.what, refused.identity, refused.client_id, address, refused.reason)
        known = self._recent.get(key)
        if known is None:
            self._recent[key] = refused
            if len(self._recent) > RECENT:
                self._recent.popitem(last=False)
            return
        known.count += 1
        known.last = refused.last
        known.peer = refused.peer
        self._recent.move_to_end(key)


def _count(counts: Counter[str], reason: str) -> None:
    counts[reason if reason in counts or len(counts) < MOST_REASONS else OTHER] += 1
