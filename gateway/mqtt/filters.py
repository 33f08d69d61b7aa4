"""Topic filters as sets of topics: is one valid, does it match, does it cover or touch another.

`#` also matches the level above it, and a filter that begins with a wildcard matches no topic that begins
with `$` (MQTT 3.1.1, 4.7).
"""

from functools import lru_cache

MAX_LEVELS = 64  # deeper topics would let one client fill the trees with empty nodes
MAX_TOPIC_BYTES = 1024  # ten times the longest topic of zigbee2mqtt, Tasmota or Home Assistant


def levels_of(pattern: str) -> list[str]:
    """Return the levels of a topic or filter."""
    return pattern.split("/")


def is_valid_filter(pattern: str) -> bool:
    """Return whether wildcards stand alone in their level, `#` in the last one only, within our limits."""
    levels = pattern.split("/")
    if not pattern or len(levels) > MAX_LEVELS or len(pattern) > MAX_TOPIC_BYTES:
        return False
    if "#" in pattern and (levels[-1] != "#" or pattern.count("#") > 1):
        return False
    return all(level == "+" or "+" not in level for level in levels)


def is_within_limits(topic: str) -> bool:
    """Return whether a topic is short and flat enough to be routed."""
    return len(topic) <= MAX_TOPIC_BYTES and topic.count("/") < MAX_LEVELS


def is_wild(pattern: str) -> bool:
    """Return whether a filter can match more than one topic."""
    return "#" in pattern or "+" in pattern


def matches(pattern: str, topic: str) -> bool:
    """Return whether a filter matches a topic."""
    return covers(pattern, topic)


@lru_cache(maxsize=1024)
def _levels(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("/"))


def covers(wide: str, narrow: str) -> bool:
    """Return whether every topic that `narrow` matches is matched by `wide` too."""
    if wide == narrow:
        return True
    if wide[:1] in {"#", "+"} and narrow[:1] == "$":
        return False
    outer = _levels(wide)
    inner = narrow.split("/")
    for index, level in enumerate(outer):
        if level == "#":
            return True
        if index >= len(inner) or inner[index] == "#":
            return False
        if level not in {"+", inner[index]}:
            return False
    return len(outer) == len(inner)


def overlaps(one: str, other: str) -> bool:
    """Return whether some topic is matched by both filters."""
    if (one[:1] == "$") != (other[:1] == "$"):
        return (
            False  # a leading wildcard does not reach `$` topics, and any other first level differs
        )
    first, second = one.split("/"), other.split("/")
    for left, right in zip(first, second, strict=False):
        if "#" in (left, right):
            return True
        if left != right and "+" not in (left, right):
            return False
    if len(first) == len(second):
        return True
    longer = first if len(first) > len(second) else second
    shared = min(len(first), len(second))
    return longer[shared:] == ["#"]
