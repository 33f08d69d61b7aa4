"""Sets of record numbers as sorted, disjoint, inclusive ranges: small however much was sent."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RangeSet:
    """Immutable set of positive integers; `spans` is sorted, disjoint and never adjacent."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, spans: Iterable[tuple[int, int]]) -> "RangeSet":
        """Build from any inclusive (first, last) pairs, overlapping or unordered.

        Raises ValueError for a pair that ends before it starts or starts below 1.
        """
        merged: list[tuple[int, int]] = []
        for first, last in sorted(spans):
            if first < 1 or last < first:
                msg = f"not a range of record numbers: {first}..{last}"
                raise ValueError(msg)
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self.spans, (number, 1 << 63)) - 1
        return index >= 0 and self.spans[index][0] <= number <= self.spans[index][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.spans)

    def __bool__(self) -> bool:
        return bool(self.spans)

    def numbers(self) -> Iterator[int]:
        """Yield every number, smallest first."""
        for first, last in self.spans:
            yield from range(first, last + 1)

    @property
    def through(self) -> int:
        """Return the last number of the unbroken run that starts at 1 (0: none)."""
        return self.spans[0][1] if self.spans and self.spans[0][0] == 1 else 0

    def add(self, first: int, last: int) -> "RangeSet":
        """Return the union with one inclusive range."""
        if self.spans and self.spans[-1][0] <= first <= self.spans[-1][1] + 1:  # the usual case
            if last <= self.spans[-1][1]:
                return self
            return RangeSet((*self.spans[:-1], (self.spans[-1][0], last)))
        return RangeSet.of((*self.spans, (first, last)))

    def union(self, other: "RangeSet") -> "RangeSet":
        """Return the union of both."""
        return RangeSet.of((*self.spans, *other.spans))

    def covers(self, first: int, last: int) -> bool:
        """Return whether every number of first..last is in the set."""
        index = bisect_right(self.spans, (first, 1 << 63)) - 1
        return index >= 0 and self.spans[index][0] <= first and last <= self.spans[index][1]

    def missing(self, first: int, last: int) -> "RangeSet":
        """Return first..last without what is in the set."""
        gaps: list[tuple[int, int]] = []
        at = first
        for start, end in self.spans:
            if end < at:
                continue
            if start > last:
                break
            if start > at:
                gaps.append((at, start - 1))
            at = max(at, end + 1)
        if at <= last:
            gaps.append((at, last))
        return RangeSet(tuple(gaps))
