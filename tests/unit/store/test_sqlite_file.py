"""How a database file is opened, and what its troubles are called."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from gateway.errors import StoreCorruptError, StoreError, StoreFullError
from gateway.store import sqlite_file


def opened(path: Path) -> sqlite3.Connection:
    return sqlite_file.open_writer(path, "log", page_size=1024, auto_vacuum=True)


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_file_is_opened_so_that_it_survives_a_power_cut(tmp_path: Path) -> None:
    connection = opened(tmp_path / "log.db")
    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 2
    assert pragma(connection, "page_size") == 1024
    assert pragma(connection, "auto_vacuum") == 2
    assert pragma(connection, "foreign_keys") == 1
    assert pragma(connection, "wal_autocheckpoint") == 0
    connection.close()


def test_an_empty_file_left_by_a_power_cut_is_shaped_as_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    connection = opened(tmp_path / "log.db")
    assert pragma(connection, "page_size") == 1024
    connection.close()


def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    opened(tmp_path / "log.db").close()
    assert stat.S_IMODE((tmp_path / "log.db").stat().st_mode) == 0o600


def test_opening_twice_migrates_once(tmp_path: Path) -> None:
    first = opened(tmp_path / "log.db")
    version = pragma(first, "user_version")
    first.execute("INSERT INTO store VALUES (1, 'kept')")
    first.close()
    again = opened(tmp_path / "log.db")
    assert pragma(again, "user_version") == version
    assert again.execute("SELECT store_id FROM store").fetchone() == ("kept",)
    again.close()


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    connection = opened(tmp_path / "log.db")
    connection.execute("PRAGMA user_version=999")
    connection.close()
    with pytest.raises(StoreError) as caught:
        opened(tmp_path / "log.db")
    assert caught.value.code == "GW-1508"


def test_garbage_is_called_damage(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(os.urandom(8192))
    with pytest.raises(StoreCorruptError) as caught:
        opened(tmp_path / "log.db")
    assert caught.value.code == "GW-1502"


def test_a_torn_page_is_called_damage(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    connection = opened(path)
    connection.executemany(
        "INSERT INTO damaged VALUES (?, 'l', 1, 1, 'r', randomblob(700))",
        [(n,) for n in range(1, 200)],
    )
    sqlite_file.close_writer(connection)
    data = bytearray(path.read_bytes())
    for page in range(40, len(data) // 1024):
        data[page * 1024 : page * 1024 + 16] = b"\xa5" * 16
    path.write_bytes(data)
    with pytest.raises(StoreCorruptError):
        opened(path)


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.db").mkdir()
    with pytest.raises(StoreError) as caught:
        opened(tmp_path / "log.db")
    assert caught.value.code == "GW-1501"
    assert "log.db" in caught.value.text


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("SQLITE_FULL", StoreFullError, "GW-1503"),
        ("SQLITE_CORRUPT_VTAB", StoreCorruptError, "GW-1502"),
        ("SQLITE_BUSY_SNAPSHOT", StoreError, "GW-1504"),
        ("SQLITE_IOERR_FSYNC", StoreError, "GW-1505"),
        ("SQLITE_READONLY", StoreError, "GW-1501"),
    ],
)
def test_each_trouble_has_its_code(name: str, kind: type[StoreError], code: str) -> None:
    error = sqlite3.OperationalError("said")
    error.sqlite_errorname = name
    found = sqlite_file.store_error(Path("log.db"), error)
    assert isinstance(found, kind)
    assert found.code == code
    assert sqlite_file.is_disk_trouble(error)


def test_a_grown_log_is_folded_in_and_free_space_given_back(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    connection = opened(path)
    for _ in range(20):
        connection.execute("INSERT INTO damaged VALUES (NULL, 'l', 1, 1, 'r', randomblob(700000))")
    sqlite_file.checkpoint(connection, path)
    assert path.with_name("log.db-wal").stat().st_size == 0
    full = path.stat().st_size
    connection.execute("DELETE FROM damaged")
    connection.execute("INSERT INTO damaged VALUES (NULL, 'l', 1, 1, 'r', randomblob(2000000))")
    for _ in range(3):
        sqlite_file.checkpoint(connection, path)
        connection.execute("UPDATE damaged SET data = randomblob(2000000)")
    sqlite_file.close_writer(connection)
    assert path.stat().st_size < full
