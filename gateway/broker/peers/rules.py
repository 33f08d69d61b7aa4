"""Which topics cross a bridge, and what they are called on the other side. The first rule that fits decides."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.broker.access import Row, row_of
from gateway.config.schema import BridgeTopicSettings
from gateway.mqtt.filters import covers, is_within_limits, matches
from gateway.mqtt.ports import Grant

OPEN_ROWS = frozenset({Row.PLAIN, Row.STATE, Row.SET})
"""The rows of the access table that cross; the others (requests, uuids, the mesh, sync, `$SYS`) never do."""

MOST_QOS = 1  # QoS 2 is served as 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter to subscribe to. `is_both`: its topics go the other way too, so each side has its own truth."""

    pattern: str
    qos: int
    is_both: bool


@dataclass(frozen=True, slots=True)
class _Way:
    pattern: str  # with its prefix, on the side from which it comes
    qos: int
    cut: int  # of the topic's own prefix
    prefix: str  # put there instead
    is_both: bool


class Rules:
    """The rules of one bridge."""

    def __init__(self, settings: Iterable[BridgeTopicSettings]) -> None:
        self._out: list[_Way] = []
        self._in: list[_Way] = []
        grants: list[Grant] = []
        for rule in settings:
            here, there = rule.local_prefix, rule.remote_prefix
            qos, is_both = min(rule.qos, MOST_QOS), rule.direction == "both"
            if rule.direction != "in":
                self._out.append(_Way(here + rule.filter, qos, len(here), there, is_both))
                grants.append(Grant(here + rule.filter, read=True))
            if rule.direction != "out":
                self._in.append(_Way(there + rule.filter, qos, len(there), here, is_both))
                grants.append(Grant(here + rule.filter, write=True))
        self.grants = tuple(grants)
        self.wanted_here = _wanted(self._out)
        self.wanted_there = _wanted(self._in)

    def outward(self, topic: str) -> tuple[str, int] | None:
        """Return (name there, most QoS) of a topic from here; None when it does not cross."""
        return _mapped(self._out, topic)

    def inward(self, topic: str) -> tuple[str, int] | None:
        """Return (name here, most QoS) of a topic from there; None when it does not cross."""
        return _mapped(self._in, topic)

    def takes(self, topic: str) -> bool:
        """Return whether a topic there would come in."""
        return any(matches(way.pattern, topic) for way in self._in)


def _mapped(ways: Sequence[_Way], topic: str) -> tuple[str, int] | None:
    for way in ways:
        if matches(way.pattern, topic):
            other = way.prefix + topic[way.cut :]
            may_cross = row_of(topic) in OPEN_ROWS and row_of(other) in OPEN_ROWS
            return (other, way.qos) if may_cross and is_within_limits(other) else None
    return None


def _wanted(ways: Sequence[_Way]) -> tuple[Wanted, ...]:
    """Return filters without those that others cover: some brokers deliver once for each that matches."""
    kept: list[Wanted] = []
    for index, way in enumerate(ways):
        if any(
            _hides(other, way, earlier=at < index) for at, other in enumerate(ways) if at != index
        ):
            continue
        below = [other for other in ways if covers(way.pattern, other.pattern)]
        qos = max(other.qos for other in below)
        kept.append(Wanted(way.pattern, qos, any(other.is_both for other in below)))
    return tuple(kept)


def _hides(other: _Way, way: _Way, *, earlier: bool) -> bool:
    if not covers(other.pattern, way.pattern):
        return False
    return earlier or not covers(way.pattern, other.pattern)


TakesThere = Callable[[str], bool]
"""Says whether a bridge takes a topic of its other broker in."""
