"""Local users as they are kept in state.db."""

import importlib.resources
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.store import sqlite_file
from gateway.store.committer import Committer
from gateway.store.users import SqliteUsers, UserRow

ANNA = UserRow("anna", b"s" * 16, b"h" * 64, ("home", "monitor"), 1_700_000_000_000)


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[SqliteUsers]:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    yield SqliteUsers(committer)
    await committer.close()


async def test_a_user_comes_back_as_it_was_kept(users: SqliteUsers) -> None:
    assert await users.add(ANNA)
    assert list(await users.all()) == [ANNA]


async def test_a_name_is_given_once(users: SqliteUsers) -> None:
    await users.add(ANNA)
    assert not await users.add(replace(ANNA, hash=b"x" * 64))
    assert list(await users.all()) == [ANNA]


async def test_roles_and_password_change_apart(users: SqliteUsers) -> None:
    await users.add(ANNA)
    assert await users.set_roles("anna", ("admin",)) == replace(ANNA, roles=("admin",))
    changed = await users.set_secret("anna", b"t" * 16, b"i" * 64)
    assert changed == replace(ANNA, roles=("admin",), salt=b"t" * 16, hash=b"i" * 64)
    assert list(await users.all()) == [changed]


async def test_who_is_not_there_cannot_be_changed_or_removed(users: SqliteUsers) -> None:
    await users.add(ANNA)
    assert await users.set_roles("bob", ()) is None
    assert await users.set_secret("bob", b"", b"") is None
    assert not await users.remove("bob")
    assert list(await users.all()) == [ANNA]


async def test_a_removed_user_is_gone(users: SqliteUsers) -> None:
    await users.add(ANNA)
    assert await users.remove("anna")
    assert list(await users.all()) == []


def test_a_hash_is_not_shown_by_repr() -> None:
    assert "h" * 8 not in repr(ANNA)
    assert "s" * 8 not in repr(ANNA)


def test_a_state_database_of_before_there_were_users_is_migrated_once(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = importlib.resources.files("gateway.store") / "migrations/state/0001_first.sql"
    old = sqlite3.connect(path)
    old.executescript(first.read_text("utf-8"))
    old.execute("INSERT INTO children VALUES ('c', 'o')")
    old.execute("PRAGMA user_version=1")
    old.commit()
    old.close()
    for found in (0, 1):
        connection = sqlite_file.open_writer(path, "state", page_size=4096, auto_vacuum=False)
        assert connection.execute("SELECT * FROM children").fetchall() == [("c", "o")]
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (found,)
        connection.execute("INSERT OR IGNORE INTO users VALUES ('a', x'00', x'00', '[]', 1)")
        sqlite_file.close_writer(connection)
