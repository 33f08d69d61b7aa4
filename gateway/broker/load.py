"""Averages over 1, 5 and 15 minutes, as mosquitto's `$SYS/broker/load` has them: per minute, newer counts more."""

import math
from collections.abc import Mapping

SPANS_MIN = (1, 5, 15)


class Load:
    """Moving averages of counters that only grow; told of them as seldom as one likes."""

    def __init__(self, now: float) -> None:
        """Begin at zero, at a time in seconds."""
        self._since = now
        self._counts: dict[str, float] = {}
        self._averages: dict[str, list[float]] = {}

    def take(self, counts: Mapping[str, float], now: float) -> None:
        """Take counters as they are now; what came since the last time is taken as come evenly."""
        passed_min = (now - self._since) / 60
        if passed_min <= 0:
            return
        self._since = now
        for name, count in counts.items():
            rate = (count - self._counts.get(name, 0.0)) / passed_min
            self._counts[name] = count
            averages = self._averages.setdefault(name, [0.0] * len(SPANS_MIN))
            for index, span_min in enumerate(SPANS_MIN):
                averages[index] = rate + math.exp(-passed_min / span_min) * (averages[index] - rate)

    def averages(self) -> list[tuple[str, str]]:
        """Return (`messages/sent/1min`, value with two digits) of each."""
        return [
            (f"{name}/{span_min}min", f"{average:.2f}")
            for name, averages in self._averages.items()
            for span_min, average in zip(SPANS_MIN, averages, strict=True)
        ]
