"""Local users: right and wrong passwords, unknown names, and a bounded number of checks."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app.logins import (
    HASH_BYTES,
    SALT_BYTES,
    LocalUsers,
    hash_line,
    parsed_hash,
    principal_of,
    user_from_file,
)
from gateway.errors import ConfigError
from gateway.mqtt.ports import Credentials, Grant, Principal, Rejected
from tests.fakes.waiting import eventually

GRANTS = (Grant("devices/#", read=True),)


def written(folder: Path, text: str) -> Path:
    path = folder / "password"
    path.write_text(text)
    return path


@pytest.fixture
def users(tmp_path: Path) -> Iterator[LocalUsers]:
    user = user_from_file("ada", written(tmp_path, "correct horse\n"), GRANTS, frozenset({"home"}))
    made = LocalUsers({"ada": user})
    yield made
    made.close()


async def login(
    users: LocalUsers, name: str | None, password: bytes | None
) -> Principal | Rejected:
    answers: list[Principal | Rejected] = []
    users(Credentials("c", name, password, "127.0.0.1:5", "tcp"), answers.append)
    await eventually(lambda: answers)
    assert len(answers) == 1
    return answers[0]


async def test_the_right_password_gives_the_users_grants(users: LocalUsers):
    principal = await login(users, "ada", b"correct horse")
    assert isinstance(principal, Principal)
    assert (principal.name, principal.grants) == ("ada", GRANTS)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", b"wrong"),
        ("bob", b"correct horse"),
        ("bob", b""),
        (None, None),
        ("ada", None),
        ("", b"x"),
    ],
)
async def test_everything_else_is_refused_with_one_answer(users: LocalUsers, name, password):
    answer = await login(users, name, password)
    assert isinstance(answer, Rejected)
    assert answer.code == 4


async def test_a_flood_of_logins_is_told_to_wait(users: LocalUsers):
    answers: list[Principal | Rejected] = []
    for number in range(12):
        users(Credentials("c", "ada", b"guess %d" % number, "p", "tcp"), answers.append)
    await eventually(lambda: len(answers) == 12)
    codes = [answer.code for answer in answers if isinstance(answer, Rejected)]
    assert codes.count(3) == 8
    assert codes.count(4) == 4


async def test_a_password_once_proved_is_checked_without_the_worker(users: LocalUsers):
    await login(users, "ada", b"correct horse")
    answers: list[Principal | Rejected] = []
    users(Credentials("c", "ada", b"correct horse", "p", "tcp"), answers.append)
    assert isinstance(answers[0], Principal)


async def test_a_file_may_hold_the_hash_instead(tmp_path: Path):
    user = user_from_file("ada", written(tmp_path, hash_line("secret")), GRANTS, frozenset())
    users = LocalUsers({"ada": user})
    assert isinstance(await login(users, "ada", b"secret"), Principal)
    assert isinstance(await login(users, "ada", b"other"), Rejected)
    users.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("text", ["", "scrypt:zz:yy", "scrypt:00"])
def test_a_password_file_that_cannot_be_used_names_user_and_file(tmp_path: Path, text: str):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        user_from_file("ada", path, GRANTS, frozenset())
    assert caught.value.code == "GW-1808"
    assert "'ada'" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_users_secret_is_not_shown_by_its_repr(tmp_path: Path):
    user = user_from_file("ada", written(tmp_path, "correct horse"), GRANTS, frozenset())
    assert "correct" not in repr(user)
    assert user.hash.hex() not in repr(user)


async def test_a_changed_user_gets_in_with_the_new_password_alone(
    users: LocalUsers, tmp_path: Path
):
    await login(users, "ada", b"correct horse")
    other = user_from_file("ada", written(tmp_path, "battery"), (), frozenset({"monitor"}))
    users.put(other)
    assert isinstance(await login(users, "ada", b"correct horse"), Rejected)
    assert await login(users, "ada", b"battery") == principal_of(other)


async def test_a_removed_user_does_not_get_in(users: LocalUsers):
    await login(users, "ada", b"correct horse")
    users.drop("ada")
    assert isinstance(await login(users, "ada", b"correct horse"), Rejected)


async def test_a_user_removed_while_its_password_is_checked_does_not_get_in(users: LocalUsers):
    answers: list[Principal | Rejected] = []
    users(Credentials("c", "ada", b"correct horse", "p", "tcp"), answers.append)
    users.drop("ada")
    await eventually(lambda: answers)
    assert isinstance(answers[0], Rejected)
    assert users._proved == {}


def test_a_line_of_a_hash_is_the_only_hash():
    salt, digest = parsed_hash(hash_line("x"))
    assert (len(salt), len(digest)) == (SALT_BYTES, HASH_BYTES)
    with pytest.raises(ValueError, match="to unpack"):
        parsed_hash("plain")
