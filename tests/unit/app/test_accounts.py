"""Local users that commands keep: names, roles, and what gateway.toml has to say about it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import identity
from gateway.app.accounts import Accounts
from gateway.app.accounts_alone import perform_alone
from gateway.app.lock import StateLock
from gateway.app.logins import User, hash_line
from gateway.config.schema import MqttSettings, RoleSettings, UserSettings
from gateway.errors import ConfigError, StoreBusyError
from gateway.mqtt.ports import Grant
from gateway.store.committer import Committer
from gateway.store.users import SqliteUsers

HASH = hash_line("correct horse")
SETTINGS = MqttSettings(
    users=(UserSettings(name="fixed", password_file="p", roles=("monitor",)),),
    roles=(RoleSettings(name="garden", read=("garden/#",)),),
)


class Told(Accounts):
    """Accounts over a real database, and what they told."""

    told: list[tuple[str, User | None]]

    async def ask(self, operation: str, **asked: Any) -> Any:
        return await self.operations[f"broker-user{operation}"](asked)


@pytest.fixture
async def accounts(tmp_path: Path) -> AsyncIterator[Told]:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    told: list[tuple[str, User | None]] = []

    def changed(name: str, user: User | None) -> int:
        told.append((name, user))
        return 2

    fixed = {user.name: user.roles for user in SETTINGS.users}
    made = Told(SqliteUsers(committer), SETTINGS, fixed, now_ms=lambda: 7, changed=changed)
    made.told = told
    yield made
    await committer.close()


async def refused(accounts: Told, operation: str, **asked: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        await accounts.ask(operation, **asked)
    return caught.value


async def test_a_new_user_may_log_in_with_what_its_roles_open(accounts: Told) -> None:
    answer = await accounts.ask("-add", name="anna", hash=HASH, roles=["garden", "garden"])
    assert answer == {"name": "anna", "roles": ["garden"], "ended_sessions": 2, "note": None}
    [(name, user)] = accounts.told
    assert name == "anna"
    assert user is not None
    assert user.grants == (Grant("garden/#", read=True),)
    assert user.roles == {"garden"}


async def test_users_are_there_again_after_a_restart(accounts: Told) -> None:
    await accounts.ask("-add", name="anna", hash=HASH, roles=["home"])
    before = accounts.told.pop()
    await accounts.load()
    assert accounts.told == [before]


async def test_an_unknown_role_is_refused_with_the_list_of_roles(accounts: Told) -> None:
    error = await refused(accounts, "-add", name="anna", hash=HASH, roles=["home", "boss"])
    assert error.code == "GW-1130"
    assert "'boss'" in error.text
    assert "admin, garden, home, monitor" in error.hint
    assert accounts.told == []


@pytest.mark.parametrize(
    "name",
    [
        "6F1C2B1E-0000-4000-8000-000000000001",
        "",
        " anna",
        "an\nna",
        "a" * 65,
        "bridge:home",
        "anonymous:tcp",
        "unix:0",
    ],
)
async def test_a_name_that_cannot_be_a_users_is_refused(accounts: Told, name: str) -> None:
    assert (await refused(accounts, "-add", name=name, hash=HASH)).code == "GW-1131"


async def test_a_name_is_given_once(accounts: Told) -> None:
    await accounts.ask("-add", name="anna", hash=HASH, roles=[])
    assert (await refused(accounts, "-add", name="anna", hash=HASH)).code == "GW-1133"


@pytest.mark.parametrize("line", ["correct horse", "scrypt:00:00", "scrypt:zz:zz", "", None])
async def test_only_a_hash_of_a_password_is_taken(accounts: Told, line: str | None) -> None:
    assert (await refused(accounts, "-add", name="anna", hash=line)).code == "GW-1811"


async def test_new_roles_and_a_new_password_are_told(accounts: Told) -> None:
    await accounts.ask("-add", name="anna", hash=HASH, roles=["home"])
    await accounts.ask("-roles", name="anna", roles=["monitor"])
    await accounts.ask("-password", name="anna", hash=hash_line("other"))
    first, second, third = (user for _, user in accounts.told)
    assert first is not None
    assert second is not None
    assert third is not None
    assert second.roles == third.roles == {"monitor"}
    assert first.hash == second.hash != third.hash


async def test_a_removed_user_is_told_as_gone(accounts: Told) -> None:
    await accounts.ask("-add", name="anna", hash=HASH, roles=[])
    await accounts.ask("-remove", name="anna")
    assert accounts.told[-1] == ("anna", None)
    assert (await refused(accounts, "-remove", name="anna")).code == "GW-1132"


@pytest.mark.parametrize("operation", ["-roles", "-password", "-remove"])
async def test_a_user_of_the_file_is_changed_there(accounts: Told, operation: str) -> None:
    error = await refused(accounts, operation, name="fixed", hash=HASH, roles=[])
    assert error.code == "GW-1132"
    assert "gateway.toml" in error.text


async def test_a_user_of_the_file_wins_and_the_answer_says_so(accounts: Told) -> None:
    answer = await accounts.ask("-add", name="fixed", hash=HASH, roles=["admin"])
    assert "gateway.toml has a user 'fixed' too, and that one holds" in answer["note"]
    await accounts.load()
    assert accounts.told == []
    rows = await accounts.ask("s")
    assert [(row["name"], row["from"], row["roles"], row["hidden"]) for row in rows] == [
        ("fixed", "gateway.toml", ["monitor"], False),
        ("fixed", "gateway broker user", ["admin"], True),
    ]


async def test_a_role_that_went_from_the_file_is_said_at_start(
    accounts: Told, caplog: pytest.LogCaptureFixture
) -> None:
    await accounts.ask("-add", name="anna", hash=HASH, roles=["garden", "home"])
    accounts._settings = MqttSettings()
    await accounts.load()
    assert caplog.records[-1].__dict__["roles"] == "garden"
    assert accounts.told[-1][1] is not None


async def test_no_hash_and_no_salt_is_listed_or_logged(
    accounts: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    answer = await accounts.ask("-add", name="anna", hash=HASH, roles=[])
    rows = await accounts.ask("s")
    said = repr((answer, rows, [record.__dict__ for record in caplog.records]))
    assert all(part not in said for part in HASH.split(":")[1:])


# ---- without a running node ----


async def test_users_are_kept_where_no_node_runs(tmp_path: Path) -> None:
    asked = {"name": "anna", "hash": HASH, "roles": ["garden"]}
    await perform_alone(tmp_path, SETTINGS, "broker-user-add", asked)
    [anna, fixed] = await perform_alone(tmp_path, SETTINGS, "broker-users", {})
    assert (anna["name"], anna["roles"], fixed["name"]) == ("anna", ["garden"], "fixed")


async def test_a_directory_without_a_node_is_not_made_one_by_looking(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        await perform_alone(tmp_path / "wrong", SETTINGS, "broker-users", {})
    assert caught.value.code == "GW-1132"
    assert not (tmp_path / "wrong").exists()


async def test_a_user_added_before_the_first_start_leaves_a_directory_to_start_in(
    tmp_path: Path,
) -> None:
    asked = {"name": "anna", "hash": HASH, "roles": []}
    await perform_alone(tmp_path, SETTINGS, "broker-user-add", asked)
    assert not identity.load(tmp_path).is_new


async def test_a_state_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    held = StateLock(tmp_path)
    with pytest.raises(StoreBusyError):
        await perform_alone(tmp_path, SETTINGS, "broker-user-add", {"name": "a", "hash": HASH})
    held.release()
    assert not (tmp_path / "state.db").exists()


async def test_the_lock_is_given_back_after_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await perform_alone(tmp_path, SETTINGS, "broker-user-add", {"name": "nobody"})
    StateLock(tmp_path).release()


async def test_root_does_not_leave_files_that_the_gateways_user_cannot_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigError) as caught:
        await perform_alone(tmp_path, SETTINGS, "broker-users", {})
    assert caught.value.code == "GW-1136"
    assert not (tmp_path / "lock").exists()
