"""A reading connection in a thread of its own: short questions that never wait for the writer."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.store.sqlite_file import store_error

T = TypeVar("T")

CACHE_KIB = 256  # the default of 2 MB a connection is a lot on a small board


class Reader:
    """Runs reading functions one after the other; opens the database with the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"read-{path.stem}")
        self._connection: sqlite3.Connection | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        """Return what `work(connection)` returns; raises StoreError for what the database says."""
        return asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    def close(self) -> asyncio.Future[None]:
        """Close the connection; it closes even if nobody waits for it."""
        closed = asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)
        return closed

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            self._connection.execute("BEGIN")  # one snapshot for all that `work` asks
            try:
                return work(self._connection)
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        connection.execute("PRAGMA mmap_size=0")
        connection.execute("PRAGMA query_only=ON")
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
