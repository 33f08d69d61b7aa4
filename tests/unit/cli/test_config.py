"""`gateway config`."""

import io
import json
import tomllib
from pathlib import Path

import pytest

from gateway.app.logins import user_from_file
from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.reference import defaults_toml, markdown
from gateway.config.schema import Settings


def test_check_lists_every_fault_and_exits_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "g.toml"
    path.write_text("[http]\nport = 'x'\n[spool]\nprofil = 1\n")
    assert main(["config", "check", "--config", str(path)]) == 78
    text = capsys.readouterr().out
    assert f"GW-1005 {path}:2: http.port" in text
    assert f"GW-1003 {path}:4: spool.profil" in text
    assert main(["config", "check", "--json", "--config", str(path)]) == 78
    assert [row["line"] for row in json.loads(capsys.readouterr().out)["faults"]] == [2, 4]


def test_check_asks_the_drivers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "g.toml"
    path.write_text("[[serial]]\nname = 'a'\nport = '/dev/a'\ndriver = 'no-such-driver'\n")
    assert main(["config", "check", "--config", str(path)]) == 78
    assert "GW-1702" in capsys.readouterr().out


def test_a_right_file_is_called_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "g.toml"
    path.touch()
    assert main(["config", "check", "--config", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: right\n"


def test_show_prints_a_file_that_means_the_same_and_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("00112233445566778899aabbccddeeff")
    path = tmp_path / "g.toml"
    path.write_text(
        "[http]\nport = 81\n[[serial]]\nname = 'a'\nport = '/dev/a'\ndriver = 'line-json'\n"
        "[[mqtt.users]]\nname = 'anna'\npassword_file = 'key'\nroles = ['home']\n"
        "[drivers.settings.bthome.bindkey_files]\n'A4:C1:38:00:00:01' = 'key'\n"
    )
    assert main(["config", "show", "--config", str(path)]) == 0
    text = capsys.readouterr().out
    assert "00112233" not in text
    again = tmp_path / "again.toml"
    again.write_text(text)
    assert load(again).parked == ()
    assert load(again).settings == load(path).settings


def test_show_without_a_file_shows_the_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.cli.places.SYSTEM_CONFIG", tmp_path / "none")
    assert main(["config", "show"]) == 0
    shown = Settings.model_validate(tomllib.loads(capsys.readouterr().out))
    assert shown == Settings()


def test_reference_and_defaults_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["config", "reference"])
    assert capsys.readouterr().out == markdown()
    main(["config", "defaults"])
    assert capsys.readouterr().out == defaults_toml()


def test_a_hashed_password_is_what_a_password_file_may_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert main(["config", "password"]) == 0
    line = capsys.readouterr().out
    assert "horse" not in line
    (tmp_path / "pw").write_text(line)
    assert user_from_file("anna", tmp_path / "pw", (), frozenset()).name == "anna"


def test_no_password_is_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["config", "password"]) == 78
    assert "GW-1821" in capsys.readouterr().err
