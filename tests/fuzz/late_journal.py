"""A broker in memory whose disk is slow: a test says when it answers, and what a crash takes with it."""

from collections.abc import Callable

from gateway.broker.limits import Limits
from tests.fakes.raw_journal import MemoryJournal
from tests.fakes.raw_pipe import PipeBroker


class LateJournal(MemoryJournal):
    """Makes durable what was noted when it is told to."""

    def _note(self, change: Callable[[], object]) -> int:
        self._noted.append(change)
        return self.number

    def commit(self) -> None:
        """Make everything noted durable."""
        self._commit()

    def reborn(self) -> "LateJournal":
        """Return the journal of another process: what is durable, and nothing of what is only noted."""
        another = LateJournal(self._loop)
        another.rows, another.retained, another.wills = self.rows, self.retained, self.wills
        another._last_sid = max(self.rows, default=0)
        return another


class LateBroker(PipeBroker):
    """A broker over such a journal."""

    journal: LateJournal

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.journal = LateJournal(self.loop)
        self.broker = self._made()

    def commit(self) -> None:
        """Have the disk answer, and the broker do what follows."""
        self.within(self.journal.commit)

    def crash(self) -> None:
        """Lose the process and what was not durable; another goes on."""
        self.journal = self.journal.reborn()
        super().crash()
