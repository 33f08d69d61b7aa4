"""What crossed a bridge and what did not, with the reason; the log hears of each reason once a minute."""

import logging
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0

QUIET = frozenset({"loop", "kept", "away"})
"""Reasons that are the bridge's work, or that our own broker tells of already (GW-1108)."""

MEANINGS = {
    "loop": "it came from here, or returned",
    "hops": "it has passed too many gateways",
    "kept": "a retained message of the same topic is kept here",
    "rule": "no rule lets it cross",
    "name": "its topic is too long there",
    "size": "it is larger than the receiver takes",
    "there": "the other broker refused it",
    "here": "our own broker refused it",
    "away": "it was QoS 0 while the other broker was away or slow, or the queue was full",
}
"""Reason -> what it means; these are all."""


class Counts:
    """The counters of one bridge, since the node started."""

    def __init__(self, bridge: str, now: Callable[[], float]) -> None:
        self.sent = 0
        self.received = 0
        self.dropped: Counter[str] = Counter()
        self._bridge = bridge
        self._now = now
        self._logged: dict[str, tuple[float, int]] = {}  # reason -> when, count then

    def drop(self, reason: str, topic: str) -> None:
        """Count a message that did not cross."""
        self.dropped[reason] += 1
        if reason in QUIET:
            return
        at, count = self._logged.get(reason, (-LOG_EVERY_S, 0))
        if self._now() - at < LOG_EVERY_S:
            return
        self._logged[reason] = (self._now(), self.dropped[reason])
        log.warning(
            "bridge dropped messages",
            extra={
                "bridge": self._bridge,
                "why": MEANINGS[reason],
                "count": self.dropped[reason] - count,
                "topic": topic,
                "code": "GW-1145",
            },
        )
