"""A journal in a database of its own, that can be stopped and crashed."""

import shutil
from collections.abc import Callable
from pathlib import Path

from gateway.mqtt.journal import Kept
from gateway.store.committer import Committer
from gateway.store.mqtt_journal import JournalLimits, SqliteJournal
from tests.fakes.clock import FakeClock

CALM = JournalLimits(ack_delay_s=600, loss_window_s=600, checkpoint_s=600)
"""Nothing is written unless a test asks for it."""


class Now:
    """The broker's clock, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class JournalStore:
    """One log.db and the journal in it, life after life."""

    journal: SqliteJournal
    committer: Committer

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.now = Now()
        self._folder = folder
        self._lives = 0

    @property
    def path(self) -> Path:
        return self._folder / f"life-{self._lives}" / "log.db"

    async def open(self, limits: JournalLimits = CALM) -> Kept:
        """Start as a process does, and return what is found."""
        self.committer = Committer(self.path, "log", page_size=1024, auto_vacuum=True)
        await self.committer.open()
        self.journal = SqliteJournal(self.committer, clock=self.clock, limits=limits, now=self.now)
        return await self.journal.load()

    async def commit(self) -> None:
        """Return once a commit was made of all that is not held back."""
        await self.committer.transaction(lambda connection: None)

    async def close(self) -> None:
        """Stop cleanly; `open` may follow."""
        await self.committer.close()

    async def crash(self) -> None:
        """End as `kill -9` does: what lies in the files at this moment is all there is."""
        old = self.path
        self._lives += 1
        self.path.parent.mkdir(parents=True)
        for file in old.parent.glob("log.db*"):
            shutil.copy(file, self.path.parent / file.name)
        await (
            self.committer.close()
        )  # the dead one tidies its own files; nobody looks at them again

    async def change(self, sql: str, *values: object) -> None:
        """Change the closed database behind everybody's back."""
        committer = Committer(self.path, "log", page_size=1024, auto_vacuum=True)
        await committer.open()
        await committer.transaction(lambda connection: connection.execute(sql, values))
        await committer.close()

    async def count(self, table: str) -> int:
        """Return how many rows a table has on disk."""
        query = f"SELECT count(*) FROM {table}"
        rows = await self.committer.read(lambda connection: connection.execute(query).fetchone())
        return int(rows[0])


def listen(journal: SqliteJournal) -> Callable[[], list[int]]:
    """Collect what `on_durable` says."""
    heard: list[int] = []
    journal.on_durable = heard.append
    return lambda: heard
