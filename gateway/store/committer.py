"""One writer per database: functions are grouped into one transaction that commits or vanishes whole.

Why functions and not statements: intake must read ranges and write effects in one transaction, and a shared
connection on which two tasks interleave loses or keeps the wrong rows.  The connection lives in one worker
thread; the event loop never waits for the disk.
"""

import asyncio
import contextlib
import importlib.resources
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import StoreCorruptError, StoreError, StoreFullError

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]

WAL_CHECKPOINT_BYTES = 1 << 20  # we checkpoint when the log outgrows this, not SQLite in mid-commit
BUSY_TIMEOUT_MS = 5000


class Committer:
    """Owns the writing connection of one database file.

    `transaction(work)` runs as soon as the writer is free, together with whatever else waits, and returns the
    function's result once the group is on disk.  `within(seconds)` asks that a commit of the `prepare`
    functions (see `on_commit`) happen by then.  A function that raises undoes only itself (savepoint) and
    its own waiter gets the exception; a commit that fails is everybody's error.
    """

    def __init__(
        self, path: Path, migrations: str, *, page_size: int = 4096, auto_vacuum: bool = False
    ) -> None:
        """Prepare for `path`; `migrations` is a folder below `gateway/store/migrations`."""
        self.path = path
        self._migrations = migrations
        self._page_size = page_size
        self._auto_vacuum = auto_vacuum
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"commit-{path.stem}")
        self._waiting: list[tuple[Work, asyncio.Future[Any]]] = []
        self._prepare: list[Callable[[], Work | None]] = []
        self._after: list[Callable[[], None]] = []
        self._wake: asyncio.Event = asyncio.Event()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: StoreError | None = None
        self._connection: sqlite3.Connection | None = None
        self._closing = False
        self.commits = 0
        self.overdue_since: float | None = None  # monotonic; the watchdog looks at it

    async def open(self) -> None:
        """Open, check and migrate the file; raises StoreError with what to do."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._open)

    async def close(self) -> None:
        """Commit what is left, checkpoint, close."""
        if self._connection is None:
            return
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._failure is None:
            await self._group()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def on_commit(self, prepare: Callable[[], Work | None], after: Callable[[], None]) -> None:
        """Take part in every commit.

        `prepare()` runs on the event loop right before a group and returns what to write (or None); `after()`
        runs on the event loop once the group is on disk.
        """
        self._prepare.append(prepare)
        self._after.append(after)

    def transaction(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]:
        """Run `work(connection)` in the next group; the result comes after the commit."""
        if self._failure is not None:
            raise self._failure
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        self._wake.set()
        return future

    def within(self, seconds: float) -> None:
        """Ask for a commit at most `seconds` from now; an earlier request stands."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._due is not None and self._due <= due:
            return
        self._due = due
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(due, self._wake.set)

    async def run(self) -> None:
        """Service: commit groups until cancelled; raises StoreError when the database is lost."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._group()
            if self._failure is not None:
                raise self._failure

    async def _group(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = None
        waiting, self._waiting = self._waiting, []
        prepared = [work for make in self._prepare if (work := make()) is not None]
        if not waiting and not prepared:
            return
        self.overdue_since = time.monotonic()
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(
            self._thread, self._run_group, [work for work, _ in waiting], prepared
        )
        try:
            results = await asyncio.shield(job)
        except asyncio.CancelledError:
            # The thread goes on: wait for it, so that nobody is told less than the disk knows.
            with contextlib.suppress(StoreError):
                self._resolve(waiting, await job)
            raise
        except StoreError as error:
            self._failure = error
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            raise
        finally:
            self.overdue_since = None
        self._resolve(waiting, results)

    def _resolve(self, waiting: list[tuple[Work, asyncio.Future[Any]]], results: list[Any]) -> None:
        self.commits += 1
        for (_, future), (value, error) in zip(waiting, results, strict=True):
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)
        for after in self._after:
            after()

    # ---- in the worker thread ----

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self.path.exists()
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
            if fresh:
                connection.execute(f"PRAGMA page_size={self._page_size}")
                if self._auto_vacuum:
                    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
                self.path.chmod(0o600)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")  # survives a power cut, not only kill -9
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise StoreCorruptError(
                    f"{self.path} is damaged: {verdict}",
                    code="GW-1502",
                    hint=f"stop the gateway, move {self.path} aside and restore a backup, or start empty",
                )
            self._migrate(connection)
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be opened: {error.strerror}",
                code="GW-1501",
                hint=f"make {self.path.parent} writable for the user that runs the gateway",
            ) from error
        self._connection = connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for number, text in _migrations(self._migrations):
            if number <= version:
                continue
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in _statements(text):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={number}")
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            version = number

    def _run_group(
        self, works: list[Work], prepared: list[Work]
    ) -> list[tuple[Any, Exception | None]]:
        connection = self._connection
        assert connection is not None
        results: list[tuple[Any, Exception | None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                results.extend(_contained(connection, work) for work in works)
                for work in prepared:
                    work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._checkpoint(connection)
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error
        return results

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        wal = self.path.with_name(self.path.name + "-wal")
        with contextlib.suppress(OSError):
            if wal.stat().st_size > WAL_CHECKPOINT_BYTES:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()


def _contained(connection: sqlite3.Connection, work: Work) -> tuple[Any, Exception | None]:
    """Run one function in a savepoint: what it raises undoes it alone, unless the disk itself failed."""
    connection.execute("SAVEPOINT work")
    try:
        value = work(connection)
    except sqlite3.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the waiter, who knows what it means
        connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")
        return None, error
    connection.execute("RELEASE work")
    return value, None


def _migrations(folder: str) -> Iterator[tuple[int, str]]:
    root = importlib.resources.files("gateway.store") / "migrations" / folder
    files = sorted(
        (entry for entry in root.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name
    )
    for entry in files:
        yield int(entry.name.split("_", 1)[0]), entry.read_text("utf-8")


def _statements(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name == "SQLITE_FULL":
        return StoreFullError(
            f"no space left for {path}",
            code="GW-1503",
            hint="free disk space, then restart the gateway",
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreCorruptError(
            f"{path} is damaged: {error}",
            code="GW-1502",
            hint=f"stop the gateway, move {path} aside and restore a backup, or start empty",
        )
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"{path} is held by another process",
            code="GW-1504",
            hint="stop the other gateway that uses this state directory",
        )
    return StoreError(
        f"{path} cannot be used: {error} ({name or type(error).__name__})",
        code="GW-1505",
        hint="check the disk (dmesg) and the permissions of the state directory",
    )
