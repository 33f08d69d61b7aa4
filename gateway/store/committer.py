"""One writer per database: functions are grouped into one transaction that commits or vanishes whole.

Why functions and not statements: intake must read ranges and write effects in one transaction, and a shared
connection on which two tasks interleave loses or keeps the wrong rows.  The connection lives in one worker
thread; the event loop never waits for the disk.  Groups are started by callbacks, not by a task: nobody's
cancellation can tear one, and a resource may commit before the services run and after they have stopped.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import StoreError
from gateway.store import sqlite_file
from gateway.store.reader import Reader

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
_Waiting = tuple[Work, asyncio.Future[Any]]
_Result = tuple[Any, Exception | None]


class Committer:
    """Owns the writing connection of one database file, and a reader beside it.

    `transaction(work)` runs as soon as the writer is free, together with whatever else waits, and returns the
    function's result once the group is on disk.  `within(seconds)` asks that a commit of the `prepare`
    functions (see `on_commit`) happen by then.  A function that raises undoes only itself (savepoint) and
    its own waiter gets the exception; a commit that fails is everybody's error, for good: the process must
    end, because what is on disk is no longer known.
    """

    required = True

    def __init__(
        self, path: Path, migrations: str, *, page_size: int = 4096, auto_vacuum: bool = False
    ) -> None:
        """Prepare for `path`; `migrations` is a folder below `gateway/store/migrations`."""
        self.path = path
        self.name = f"committer:{path.stem}"
        self.commits = 0
        self.overdue_since: float | None = None  # monotonic; the watchdog looks at it
        self.is_closing = False
        self.is_everything_due = False  # `prepare` functions then hold nothing back
        self._migrations = migrations
        self._page_size = page_size
        self._auto_vacuum = auto_vacuum
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"commit-{path.stem}")
        self._reader = Reader(path)
        self._connection: sqlite3.Connection | None = None
        self._prepare: list[Callable[[], Work | None]] = []
        self._after: list[Callable[[], None]] = []
        self._waiting: list[_Waiting] = []
        self._group: list[_Waiting] = []
        self._job: asyncio.Future[list[_Result]] | None = None
        self._is_begun = False  # a start of a group is scheduled
        self._is_wanted = False  # somebody asked for a group that did not begin yet
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: BaseException | None = None
        self._lost = asyncio.Event()

    async def open(self) -> None:
        """Open, check and migrate the file; raises StoreError with what to do."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._open)

    async def close(self) -> None:
        """Commit what is left, checkpoint, close.  Whoever waits is answered first."""
        if self.is_closing:
            return
        self.is_closing = self.is_everything_due = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            if self._connection is not None and self._failure is None:
                await self._drain()
        finally:
            # A cancelled close still closes, in the thread.
            self._answer_with(self._closed(), self._waiting)
            closed = asyncio.wrap_future(self._thread.submit(self._close))
            self._thread.shutdown(wait=False)
            read = self._reader.close()
        await asyncio.shield(closed)
        await asyncio.shield(read)

    def on_commit(self, prepare: Callable[[], Work | None], after: Callable[[], None]) -> None:
        """Take part in every commit.

        `prepare()` runs on the event loop right before a group and returns what to write first in it, or None;
        whoever is not due yet says `within(...)` again.  `after()` runs on the event loop once the group is
        on disk.  Neither may raise.
        """
        self._prepare.append(prepare)
        self._after.append(after)

    def transaction(
        self, work: Callable[[sqlite3.Connection], T], *, within_s: float = 0.0
    ) -> asyncio.Future[T]:
        """Run `work(connection)` in the next group, at most `within_s` from now; the result comes after the commit."""
        self._refuse_if_lost()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        if within_s > 0.0:
            self.within(within_s)
        else:
            self._wake()
        return future

    def read(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Run `work(connection)` on the reading connection, in one snapshot that has every finished commit."""
        if self.is_closing:
            raise self._closed()
        return self._reader.run(work)

    def within(self, seconds: float) -> None:
        """Ask for a commit at most `seconds` from now; an earlier request stands."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self.is_closing or (self._due is not None and self._due <= due):
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(due, self._wake)

    def everything_within(self, seconds: float) -> None:
        """Ask like `within`, and let the next commit hold what is not due yet as well: all of it, or none."""
        self.is_everything_due = True
        self.within(seconds)

    async def run(self) -> None:
        """Service: wait for the database to be lost, and raise why; groups commit without it."""
        await self._lost.wait()
        failure = self._failure
        if failure is not None and not isinstance(failure, StoreError):
            raise StoreError(
                f"{self.path} was given up: {type(failure).__name__}: {failure}",
                code="GW-1505",
                hint="this is a bug; please report it with the lines of `gateway logs` before it",
            ) from failure
        self._refuse_if_lost()

    # ---- on the event loop ----

    def _wake(self) -> None:
        if self.overdue_since is None:
            self.overdue_since = time.monotonic()
        self._is_wanted = True
        if not self._is_begun and self._job is None:
            self._is_begun = True  # one call for all who ask in this tick
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._is_begun = False
        if self._failure is not None or self._job is not None:
            return
        self._is_wanted = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = None
        try:
            prepared = [work for make in self._prepare if (work := make()) is not None]
        except BaseException as error:
            self._fail(error)
            raise
        self.is_everything_due = self.is_closing
        self._group, self._waiting = self._waiting, []
        if not self._group and not prepared:
            self.overdue_since = None
            return
        works = [work for work, _ in self._group]
        loop = asyncio.get_running_loop()
        self._job = loop.run_in_executor(self._thread, self._run_group, prepared, works)
        self._job.add_done_callback(self._finished)

    def _finished(self, job: "asyncio.Future[list[_Result]]") -> None:
        self._job = None
        if job.cancelled():
            self._fail(self._closed())
            return
        error = job.exception()
        if error is not None:
            self._fail(error)
            return
        group, self._group = self._group, []
        self.commits += 1
        for after in self._after:
            after()
        for (_, future), (value, problem) in zip(group, job.result(), strict=True):
            if future.done():  # its waiter was cancelled; the effect is on disk all the same
                continue
            if problem is not None:
                future.set_exception(problem)
            else:
                future.set_result(value)
        if not self.is_closing:
            self._thread.submit(self._checkpoint)
        self.overdue_since = None
        if self._is_wanted:
            self._wake()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._answer_with(error, self._group)
        self._answer_with(error, self._waiting)
        self._lost.set()

    def _answer_with(self, error: BaseException, waiting: list[_Waiting]) -> None:
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)
        waiting.clear()

    async def _drain(self) -> None:
        """Commit until nothing is left that anybody waits for."""
        while True:
            if self._job is None:
                self._begin()
            if self._job is None:
                return
            await asyncio.wait({self._job})
            await asyncio.sleep(0)  # let its callback answer the waiters

    def _refuse_if_lost(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.is_closing:
            raise self._closed()

    def _closed(self) -> StoreError:
        return StoreError(
            f"{self.path} is already closed",
            code="GW-1507",
            hint="the gateway is stopping; nothing was lost that it had acknowledged",
        )

    # ---- in the thread ----

    def _open(self) -> None:
        self._connection = sqlite_file.open_writer(
            self.path,
            self._migrations,
            page_size=self._page_size,
            auto_vacuum=self._auto_vacuum,
        )

    def _run_group(self, prepared: list[Work], works: list[Work]) -> list[_Result]:
        connection = self._connection
        assert connection is not None, "transaction() before open()"
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for work in prepared:
                    work(connection)
                results = [_contained(connection, work) for work in works]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise sqlite_file.store_error(self.path, error) from error
        return results

    def _checkpoint(self) -> None:
        if self._connection is not None:
            sqlite_file.checkpoint(self._connection, self.path)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            sqlite_file.close_writer(connection)


def _contained(connection: sqlite3.Connection, work: Work) -> _Result:
    """Run one function in a savepoint: what it raises undoes it alone, unless the disk itself failed."""
    connection.execute("SAVEPOINT work")
    try:
        value = work(connection)
    except Exception as error:  # handed to the waiter, who knows what it means
        if isinstance(error, sqlite3.Error) and sqlite_file.is_disk_trouble(error):
            raise
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return None, error
    connection.execute("RELEASE work")
    return value, None
