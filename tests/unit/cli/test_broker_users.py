"""`gateway broker user`: what is asked of the node, what of a directory, and where a password may come from."""

import getpass
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.app.logins import hashed, parsed_hash
from gateway.cli.main import main
from tests.unit.cli.node import answering

DONE = {"name": "anna", "roles": ["home"], "ended_sessions": 0, "note": None}


def run(state: Path, answers: dict[str, Any], *words: str) -> tuple[int, list[tuple[str, Any]]]:
    with answering(state, answers) as control:
        code = main(["broker", "user", *words, "--state", str(state)])
    return code, control.asked


def typed(monkeypatch: pytest.MonkeyPatch, *passwords: str) -> None:
    left = list(passwords)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: left.pop(0))


def piped(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def fits(line: str, password: str) -> bool:
    salt, digest = parsed_hash(line)
    return hashed(password.encode(), salt) == digest


def test_a_password_is_asked_for_twice_and_only_its_hash_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "correct horse", "correct horse")
    code, asked = run(tmp_path, {"POST /broker/users": DONE}, "add", "anna", "--role", "home")
    assert code == 0
    [(_, body)] = asked
    assert fits(body.pop("hash"), "correct horse")
    assert body == {"name": "anna", "roles": ["home"]}
    assert capsys.readouterr().out == "anna may log in (role home)\n"


def test_a_password_may_come_as_a_line_of_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, "größer \nmore".encode())
    answers = {"POST /broker/users/password": DONE}
    code, asked = run(tmp_path, answers, "password", "anna", "--password-stdin")
    assert code == 0
    assert fits(asked[0][1]["hash"], "größer ")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"\n", "the password is empty"),
        (b"", "the password is empty"),
        (b"\xff\n", "no text"),
        (b"a" * 1025 + b"\n", "longer than 1024 bytes"),
    ],
)
def test_a_line_that_is_no_password_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raw: bytes,
    says: str,
) -> None:
    piped(monkeypatch, raw)
    code, asked = run(tmp_path, {}, "add", "anna", "--password-stdin")
    assert (code, asked) == (78, [])
    assert says in capsys.readouterr().err


def test_two_different_entries_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "one", "two")
    assert run(tmp_path, {}, "add", "anna") == (78, [])
    assert "not the same" in capsys.readouterr().err


def test_without_a_terminal_the_option_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, b"secret\n")
    assert run(tmp_path, {}, "add", "anna") == (78, [])
    assert "--password-stdin" in capsys.readouterr().err


def test_roles_are_replaced_as_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = {**DONE, "roles": ["a", "b"], "ended_sessions": 2, "note": "the file's holds"}
    answers = {"POST /broker/users/roles": answer}
    _, asked = run(tmp_path, answers, "role", "anna", "--set", "a, b")
    assert asked[0][1] == {"name": "anna", "roles": ["a", "b"]}
    assert capsys.readouterr().out == (
        "anna has roles a, b; 2 sessions ended\nnote: the file's holds\n"
    )


def test_removing_asks_for_no_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = {"POST /broker/users/remove": {"name": "anna", "ended_sessions": 1, "note": None}}
    run(tmp_path, answers, "remove", "anna")
    assert capsys.readouterr().out == "anna is removed; 1 session ended\n"


def test_a_list_says_where_each_user_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"name": "anna", "roles": ["home"], "created_ms": 0, "from": "gateway broker user", "hidden": True},
        {"name": "anna", "roles": [], "created_ms": None, "from": "gateway.toml", "hidden": False},
    ]  # fmt: skip
    run(tmp_path, {"GET /broker/users": rows}, "list")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "ROLES", "ADDED", "FROM"]
    assert "the one of gateway.toml holds" in lines[1]
    assert lines[2].split() == ["anna", "-", "-", "gateway.toml"]
    run(tmp_path / "2", {"GET /broker/users": rows}, "list", "--json")
    assert json.loads(capsys.readouterr().out) == rows


def test_users_are_kept_where_no_node_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[[mqtt.roles]]\nname = "garden"\nread = ["garden/#"]\n')
    where = ["--state", str(tmp_path / "state"), "--config", str(config)]
    piped(monkeypatch, b"secret\n")
    words = ["broker", "user", "add", "anna", "--role", "garden", "--password-stdin"]
    assert main([*words, *where]) == 0
    assert main(["broker", "user", "role", "anna", "--set", "boss", *where]) == 78
    assert "'boss'" in capsys.readouterr().err
    assert main(["broker", "user", "list", "--json", *where]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["name"], row["roles"]) == ("anna", ["garden"])
