"""Acknowledgements in the order in which messages came, whatever order they are finished in (MQTT 4.6.0)."""

from collections import deque
from collections.abc import Callable


class Ordered:
    """Numbers taken and not yet acknowledged."""

    def __init__(self, acknowledge: Callable[[int], None]) -> None:
        """`acknowledge(number)` is called once for each number, in order."""
        self._acknowledge = acknowledge
        self._taken: deque[int] = deque()
        self._done: set[int] = set()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, number: int) -> bool:
        """Note a message; False for a repetition of one that is still unfinished."""
        if number in self._taken:
            return False
        self._taken.append(number)
        return True

    def done(self, number: int) -> None:
        """Note that a message is finished, and acknowledge what is due."""
        self._done.add(number)
        while self._taken and self._taken[0] in self._done:
            due = self._taken.popleft()
            self._done.discard(due)
            self._acknowledge(due)
