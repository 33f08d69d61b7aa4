"""How this project opens a SQLite file: pragmas, checks, migrations, and what its errors mean to a person.

Everything here blocks and runs in the thread of `committer.py`.
"""

import contextlib
import importlib.resources
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import StoreCorruptError, StoreError, StoreFullError

log = logging.getLogger(__name__)

WAL_CHECKPOINT_BYTES = 1 << 20  # we checkpoint when the log outgrows this, not SQLite in mid-commit
BUSY_TIMEOUT_MS = 5000
CHECKPOINT_PATIENCE_MS = 50  # a reader in the way: try again after the next commit
WRITER_CACHE_KIB = 512
CHECKED_AT_OPEN_BYTES = 64 << 20  # an SD card reads this in 2-3 s; larger files are judged as read
FREE_BYTES_KEPT = 8 << 20  # free pages are used again; only what exceeds this goes back to the disk
VACUUM_PAGES = 1024  # at a time, so that no commit waits long behind it

DISK_TROUBLE = (
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_CORRUPT",
    "SQLITE_NOTADB",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_READONLY",
    "SQLITE_CANTOPEN",
    "SQLITE_NOMEM",
    "SQLITE_PROTOCOL",
)
"""Errors that are the file's, not of the statement that met them."""


def open_writer(
    path: Path, migrations: str, *, page_size: int, auto_vacuum: bool
) -> sqlite3.Connection:
    """Open, check and migrate a database; raises StoreError with what to do."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # An empty file is what a power cut right after the first open leaves: still ours to shape.
        is_fresh = not path.exists() or path.stat().st_size == 0
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            path.chmod(0o600)
            _shape(connection)
            if is_fresh:
                connection.execute(f"PRAGMA page_size={page_size}")
                if auto_vacuum:
                    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")  # survives a power cut, not only kill -9
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            _check(connection, path)
            _migrate(connection, path, migrations)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be opened: {error.strerror}",
            code="GW-1501",
            hint=f"make {path.parent} writable for the user that runs the gateway",
        ) from error
    return connection


def checkpoint(connection: sqlite3.Connection, path: Path) -> None:
    """Fold the write-ahead log into the file when it has grown, and return free space to the disk."""
    try:
        if path.with_name(path.name + "-wal").stat().st_size <= WAL_CHECKPOINT_BYTES:
            return
        connection.execute(f"PRAGMA busy_timeout={CHECKPOINT_PATIENCE_MS}")
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            _shrink(connection)
        finally:
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    except (sqlite3.Error, OSError) as error:
        # What was committed is safe in the log; if the disk is full, the next commit says so.
        log.warning("checkpoint failed", extra={"path": str(path), "reason": str(error)})


def close_writer(connection: sqlite3.Connection) -> None:
    """Checkpoint what is left and close."""
    with contextlib.suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def is_disk_trouble(error: sqlite3.Error) -> bool:
    """Return whether an error is the file's (everybody's), not of one statement."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return name.startswith(DISK_TROUBLE)


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Return an error of SQLite in this project's words."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name == "SQLITE_FULL":
        return StoreFullError(
            f"no space left for {path}",
            code="GW-1503",
            hint="free disk space, then restart the gateway",
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(path, str(error))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"{path} is held by another process",
            code="GW-1504",
            hint="stop the other gateway that uses this state directory",
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return StoreError(
            f"{path} cannot be opened: {error}",
            code="GW-1501",
            hint=f"make {path.parent} writable for the user that runs the gateway",
        )
    return StoreError(
        f"{path} cannot be used: {error} ({name or type(error).__name__})",
        code="GW-1505",
        hint="check the disk (dmesg) and the permissions of the state directory",
    )


def _shape(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
    connection.execute("PRAGMA mmap_size=0")  # a bad card would be SIGBUS instead of an error
    connection.execute("PRAGMA temp_store=MEMORY")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > CHECKED_AT_OPEN_BYTES:
        return
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise _damaged(path, verdict)


def _shrink(connection: sqlite3.Connection) -> None:
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    size = int(connection.execute("PRAGMA page_size").fetchone()[0])
    if free * size > FREE_BYTES_KEPT:
        connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()


def _migrate(connection: sqlite3.Connection, path: Path, folder: str) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    newest = 0
    for number, text in _migrations(folder):
        newest = number
        if number <= version:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _statements(text):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if version > newest:
        raise StoreError(
            f"{path} was written by a newer gateway (schema {version}, this one knows {newest})",
            code="GW-1508",
            hint="install the newer gateway again, or restore a backup made by this version",
        )


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


def _damaged(path: Path, why: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{path} is damaged: {why}",
        code="GW-1502",
        hint=f"stop the gateway, move {path} aside and restore a backup, or start empty",
    )
