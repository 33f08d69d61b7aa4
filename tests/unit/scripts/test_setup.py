"""`scripts/_setup.py` and `_lib.sh`: what happens before anything is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import _checkout, _pip, _setup
from scripts._errors import ScriptError

ROOT = Path(__file__).resolve().parents[3]


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def checkout(folder: Path) -> Path:
    """A checkout whose lists are empty, so that setting it up needs no network."""
    for name in _setup.LISTS.values():
        (folder / name).write_text("# nothing\n")
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for package in _checkout.PACKAGES:
        (folder / package).mkdir()
    (folder / "gateway" / "__init__.py").write_text('__version__ = "1"\n')
    return folder


def find_python(folder: Path) -> subprocess.CompletedProcess[str]:
    script = f'. "{ROOT}/scripts/_lib.sh"; root={folder}; find_python'
    environment = {"PATH": f"{folder}/bin:/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", "-c", script, f"{ROOT}/scripts/start"],
        check=False, capture_output=True, text=True, env=environment,
    )  # fmt: skip


def test_a_newer_python_is_found_behind_an_old_python3(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "python3", "exit 1")
    newer = program(tmp_path / "bin" / "python3.13", "exit 0")
    assert find_python(tmp_path).stdout.strip() == str(newer)


def test_a_python_that_is_too_old_is_named_with_the_fix(tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        program(
            tmp_path / "bin" / name, '[ "${2#*print}" != "$2" ] && echo 3.9.2 && exit 0; exit 1'
        )
    done = find_python(tmp_path)
    assert done.returncode == 1
    assert "start: GW-1951 Python 3.11 or newer is needed; python3 here is 3.9.2" in done.stderr
    assert "apt install python3 python3-venv" in done.stderr


def test_a_missing_venv_module_is_one_line_with_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(_setup.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ScriptError, match="GW-1952") as caught:
        _setup.check_venv_module()
    assert caught.value.hint == "sudo apt install python3-venv"


@pytest.mark.slow
def test_a_fresh_checkout_is_set_up_and_a_second_run_touches_nothing(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    environment = _setup.Environment(root, root / ".venv")
    environment.bring_up_to_date("dev", wheels=None)
    stamp = root / ".venv" / _setup.STAMP
    first = stamp.stat().st_mtime_ns
    environment.bring_up_to_date("dev", wheels=None)
    environment.bring_up_to_date("runtime", wheels=None)
    assert stamp.stat().st_mtime_ns == first
    assert set(json.loads(stamp.read_text())) == {"dev", "runtime", "project"}
    code = "import gateway, importlib.metadata as m; print(gateway.__file__, m.version('meshblu-gateway'))"
    said = subprocess.run([root / ".venv/bin/python", "-c", code], check=True, capture_output=True, text=True, cwd="/")  # fmt: skip
    assert said.stdout.startswith(str(root / "gateway"))


def test_a_folder_that_is_no_environment_is_not_deleted(tmp_path: Path) -> None:
    root = checkout(tmp_path)
    (root / ".venv").mkdir()
    (root / ".venv" / "precious").touch()
    with pytest.raises(ScriptError, match="in the way"):
        _setup.Environment(root, root / ".venv").bring_up_to_date("dev", wheels=None)
    assert (root / ".venv" / "precious").exists()


@pytest.mark.parametrize("words", _pip.NO_NETWORK)
def test_no_network_is_told_from_other_failures(words: str) -> None:
    assert (
        _pip.failure(f"WARNING: Retrying ...: {words}\nERROR: No matching distribution").code
        == "GW-1953"
    )


def test_any_other_failure_shows_pips_own_words() -> None:
    error = _pip.failure("Collecting a\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n")
    assert error.code == "GW-1954"
    assert "DO NOT MATCH THE HASHES" in error.text


@pytest.mark.slow
def test_without_a_network_the_set_up_says_so(tmp_path: Path) -> None:
    """Real pip against an index at a closed port."""
    listed = tmp_path / "requirements.txt"
    listed.write_text(f"nothing-here==1.0 --hash=sha256:{'0' * 64}\n")
    pip = ["env", "-u", "PIP_FIND_LINKS", "PIP_CONFIG_FILE=/dev/null", "PIP_INDEX_URL=http://127.0.0.1:9/simple",
           sys.executable, "-m", "pip", "--retries", "0"]  # fmt: skip
    with pytest.raises(ScriptError, match="GW-1953"):
        _pip.install(pip, str(listed), total=1)


def test_progress_says_what_how_many_of_how_many_and_seconds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    progress = _pip.Progress("installing packages", 38)
    _pip._follow(
        ["Collecting h11==0.16.0 (from -r x)\n", "Ignoring amqtt: markers\n"], progress, []
    )
    assert "installing packages: 2 of 38, amqtt (0 s)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["with space", "x" * 150])
def test_a_launcher_runs_below_any_path(tmp_path: Path, name: str) -> None:
    venv = tmp_path / name
    (venv / "bin").mkdir(parents=True)
    (venv / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    _checkout.point_at(ROOT, venv)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([venv / "bin" / "gateway", "--version"], check=False, capture_output=True, text=True, env=environment)  # fmt: skip
    assert said.stdout.startswith("meshblu-gateway"), said.stderr
