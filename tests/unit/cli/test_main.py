"""The command line as a whole: help everywhere, exit codes, and what is imported."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.main import COMMANDS, EXIT_CONFIG, main

HEAVY = (
    "pydantic",
    "serial",
    "bleak",
    "asyncio",
    "starlette",
    "uvicorn",
    "tomllib",
    "cryptography",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "example" in text
    assert f"gateway {command}" in text.split("example", 1)[1]
    assert "--state" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_a_module_with_configure_and_run(command: str) -> None:
    module = importlib.import_module(f"gateway.cli.{command}")
    assert module.__doc__
    assert callable(module.configure)
    assert callable(module.run)


def test_the_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {command} " in text for command in COMMANDS)


def test_a_wrong_configuration_exits_78_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check", "--config", str(tmp_path / "none.toml")]) == EXIT_CONFIG == 78
    text = capsys.readouterr().err
    assert "GW-1002" in text
    assert "what to do: " in text


def test_without_a_node_a_command_fails_and_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--state", str(tmp_path)]) == 1
    assert "GW-1801" in capsys.readouterr().err


def test_where_a_demo_runs_a_command_names_its_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".run" / "demo").mkdir(parents=True)
    (tmp_path / ".run" / "demo" / "control.sock").touch()
    assert main(["status", "--state", "elsewhere"]) == 1
    assert "add --state .run/demo" in capsys.readouterr().err


def test_status_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from gateway.cli.main import main; "
        f"main(['status', '--state', {str(tmp_path)!r}]); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stdout.strip() == "[]"
