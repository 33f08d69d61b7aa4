"""The stores that the suites of spool, inbox, ranges and down log run on; add an implementation to the list."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.model import DeviceUuid
from gateway.model.log_ports import DownLog, Inbox, Ranges, Spool
from gateway.store.committer import Committer
from gateway.store.downlog import SqliteDownLog
from gateway.store.inbox import SqliteInbox
from gateway.store.ranges import SqliteRanges
from gateway.store.spool import SpoolLimits, SqliteSpool
from tests.fakes.clock import FakeClock

NODE = DeviceUuid("11111111-0000-4000-8000-000000000001")


@dataclass(frozen=True, slots=True)
class Times:
    """Windows of a store under test: by default nothing happens unless a test asks for it."""

    loss_window_s: float = 600.0
    ack_delay_s: float = 600.0
    offer_interval_s: float = 600.0
    most_bytes: int = 512 << 20


class LogStore(Protocol):
    """A `log.db` that can be started, stopped and crashed."""

    clock: FakeClock
    spool: Spool
    inbox: Inbox
    ranges: Ranges
    downlog: DownLog

    async def open(self, times: Times) -> None:
        """Start: as a process does."""

    async def commit(self) -> None:
        """Return once everything appended so far is durable."""

    async def close(self) -> None:
        """Stop cleanly; `open` may follow."""

    async def crash(self) -> None:
        """End as `kill -9` does: what was not synced is gone; `open` may follow."""

    def commits(self) -> int:
        """Return how many commits were made since `open`."""


class SqliteLogStore:
    """log.db itself; a crash is a copy of its files as they lie on the disk at that moment."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self._folder = folder
        self._lives = 0

    async def open(self, times: Times) -> None:
        self.committer = Committer(self._path(), "log", page_size=1024, auto_vacuum=True)
        await self.committer.open()
        spool = SqliteSpool(
            self.committer,
            clock=self.clock,
            node=NODE,
            limits=SpoolLimits(
                loss_window_s=times.loss_window_s,
                ack_delay_s=times.ack_delay_s,
                offer_interval_s=times.offer_interval_s,
                most_bytes=times.most_bytes,
            ),
        )
        await spool.open()
        self._open_spool = spool
        self.spool: Spool = spool
        self.inbox: Inbox = SqliteInbox(self.committer, spool)
        self.ranges: Ranges = SqliteRanges(self.committer, self.clock)
        self.downlog: DownLog = SqliteDownLog(self.committer, self.clock)

    async def commit(self) -> None:
        self.committer.everything_within(0)
        await self.committer.transaction(lambda connection: None)

    async def close(self) -> None:
        await self._open_spool.close()
        await self.committer.close()

    async def crash(self) -> None:
        old = self._path()
        self._lives += 1
        for file in old.parent.glob("log.db*"):
            self._path().parent.mkdir(exist_ok=True)
            shutil.copy(file, self._path().parent / file.name)
        await self._open_spool.close()  # the dead one tidies its own copy; nobody looks at it again
        await self.committer.close()

    def commits(self) -> int:
        return self.committer.commits

    def _path(self) -> Path:
        return self._folder / f"life-{self._lives}" / "log.db"


IMPLEMENTATIONS: list[Callable[[Path], LogStore]] = [SqliteLogStore]
