"""`scripts/install` on an unpacked Debian, as a person would run it there: install, again, upgrade, fail, remove.

The module's fixtures are one story, each a chapter further; the tests read what each chapter left behind.
"""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("gateway", "drivers", "scripts", "systemd", "pyproject.toml", "requirements.txt", "gateway.toml")  # fmt: skip
SUITE = "bookworm"  # the oldest Debian with Python 3.11, as in Raspberry Pi OS 12
EDIT = "\n# edited by a person\n"

pytestmark = [pytest.mark.slow, pytest.mark.needs("mmdebstrap")]


@dataclass(frozen=True)
class Machine:
    """An unpacked Debian below `root`, with a checkout in /src and wheels in /wheels."""

    root: Path

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(
            ["chroot", str(self.root), *words],
            check=False, capture_output=True, text=True, env=clean, timeout=300,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
        return done

    def install(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("/src/scripts/install", *words, check=check)

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def slot(self) -> str:
        return str(self.path("/opt/gateway/current").readlink())


def cache() -> Path:
    folder = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshblu-gateway-tests"
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def debian() -> Path:
    """Make, once, the tar of a minimal Debian with Python."""
    tar = cache() / f"{SUITE}.tar"
    if not tar.exists():
        fresh = tar.with_name(f"fresh-{os.getpid()}.tar")
        words = ["mmdebstrap", "--variant=minbase", "--include=python3,python3-venv", SUITE, fresh]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        fresh.replace(tar)
    return tar


def wheels() -> Path:
    """Fetch, once for each requirements list, its wheels for this machine."""
    listed = ROOT / "requirements.txt"
    folder = cache() / f"wheels-{hashlib.sha256(listed.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        fresh = folder.with_name(f"fresh-wheels-{os.getpid()}")
        words = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
            "--python-version", "3.11", "--only-binary", ":all:", "-r", listed, "-d", fresh,
        ]  # fmt: skip
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        fresh.rename(folder)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if os.geteuid() != 0:
        said = "chroot needs root: sudo scripts/test --only install"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    machine = Machine(tmp_path_factory.mktemp("machine"))
    subprocess.run(["tar", "-xf", debian(), "-C", machine.root], check=True)
    source = machine.path("/src")
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    shutil.copytree(wheels(), machine.path("/wheels"))
    yield machine
    shutil.rmtree(machine.root, ignore_errors=True)


@pytest.fixture(scope="module")
def installed(bare: Machine) -> Machine:
    bare.install("--wheels", "/wheels")
    return bare


@pytest.fixture(scope="module")
def upgraded(installed: Machine) -> Machine:
    """Somebody edits the configuration, the node writes state, and a newer release is installed."""
    with installed.path("/etc/gateway/gateway.toml").open("a") as config:
        config.write(EDIT)
    installed.path("/var/lib/gateway/state.db").write_bytes(b"state")
    with installed.path("/src/gateway/__init__.py").open("a") as module:
        module.write('\nRELEASE = "newer"\n')
    installed.install("--wheels", "/wheels")
    return installed


@pytest.fixture(scope="module")
def removed(upgraded: Machine) -> Machine:
    upgraded.install("--remove")
    return upgraded


def test_a_dry_run_names_every_step_and_changes_nothing(bare: Machine) -> None:
    said = bare.install("--dry-run").stdout
    assert said.count("would be done") == 7
    assert not bare.path("/opt/gateway").exists()


def test_a_debian_without_venv_is_told_the_package_in_one_line(bare: Machine) -> None:
    module = next(bare.path("/usr/lib").glob("python3.*/ensurepip"))
    away = module.rename(module.with_name("ensurepip-away"))
    done = bare.run("/src/scripts/start", check=False)
    away.rename(module)
    assert done.returncode == 1
    assert "GW-1952" in done.stderr
    assert "sudo apt install python3-venv" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_runs_as_the_services_user(installed: Machine) -> None:
    words = ("/opt/gateway/current/bin/gateway", "config", "check", "--config", "/etc/gateway/gateway.toml")  # fmt: skip
    installed.run("setpriv", "--reuid=gateway", "--regid=gateway", "--init-groups", *words)


def test_the_user_joins_the_groups_that_exist(installed: Machine) -> None:
    groups = installed.run("id", "-nG", "gateway").stdout.split()
    assert set(groups) == {"gateway", "dialout"}  # there is no BlueZ here, so no group bluetooth


@pytest.mark.parametrize(
    ("path", "owner", "mode"),
    [
        ("/etc/gateway", "root:gateway", 0o750),
        ("/etc/gateway/gateway.toml", "root:gateway", 0o640),
        ("/var/lib/gateway", "gateway:gateway", 0o700),
        ("/opt/gateway/a/bin/gateway", "root:root", 0o755),
        ("/etc/systemd/system/gateway.service", "root:root", 0o644),
    ],
)
def test_each_file_has_its_owner(installed: Machine, path: str, owner: str, mode: int) -> None:
    assert installed.run("stat", "-c", "%U:%G", path).stdout.strip() == owner
    assert stat.S_IMODE(installed.path(path).stat().st_mode) == mode


def test_the_unit_starts_what_was_laid_down(installed: Machine) -> None:
    unit = installed.path("/etc/systemd/system/gateway.service").read_text()
    words = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).split("=", 1)[1].split()  # fmt: skip
    assert installed.run(words[0], "--version").stdout.startswith("meshblu-gateway")
    assert all(installed.path(word).exists() for word in words if word.startswith("/"))


def test_drivers_are_found_by_their_entry_points(installed: Machine) -> None:
    code = "import importlib.metadata as m; print(*[e.load().name for e in m.entry_points(group='gateway.drivers')])"  # fmt: skip
    assert "vedirect" in installed.run("/opt/gateway/current/bin/python", "-c", code).stdout


def test_installing_again_changes_nothing(installed: Machine) -> None:
    said = installed.install("--wheels", "/wheels").stdout
    assert said.count("as it was") == 7
    assert installed.slot() == "a"


def test_an_upgrade_flips_to_the_other_slot(upgraded: Machine) -> None:
    assert upgraded.slot() == "b"
    code = "import gateway; print(gateway.RELEASE)"
    assert upgraded.run("/opt/gateway/current/bin/python", "-c", code).stdout == "newer\n"


def test_an_upgrade_keeps_configuration_and_state(upgraded: Machine) -> None:
    assert upgraded.path("/etc/gateway/gateway.toml").read_text().endswith(EDIT)
    assert upgraded.path("/var/lib/gateway/state.db").read_bytes() == b"state"


def test_a_release_that_does_not_start_leaves_the_running_one(upgraded: Machine) -> None:
    main = upgraded.path("/src/gateway/cli/main.py")
    text = main.read_text()
    main.write_text("raise SystemExit('broken release')\n")
    done = upgraded.install("--wheels", "/wheels", check=False)
    main.write_text(text)
    assert done.returncode == 1
    assert "broken release" in done.stderr
    assert "what to do:" in done.stderr
    assert upgraded.slot() == "b"


def test_without_root_it_says_how(installed: Machine) -> None:
    done = installed.run("setpriv", "--reuid=65534", "--clear-groups", "/src/scripts/install", check=False)  # fmt: skip
    assert done.returncode == 1
    assert "GW-1955 installing a service needs root" in done.stderr
    assert "sudo scripts/install" in done.stderr


def test_removing_takes_the_program_and_leaves_configuration_and_state(removed: Machine) -> None:
    gone = ("/opt/gateway", "/usr/local/bin/gateway", "/etc/systemd/system/gateway.service")
    assert [path for path in gone if os.path.lexists(removed.path(path))] == []
    assert removed.path("/etc/gateway/gateway.toml").exists()
    assert removed.path("/var/lib/gateway/state.db").exists()


def test_an_image_builder_installs_from_outside(removed: Machine) -> None:
    words = [ROOT / "scripts" / "install", "--root", removed.root, "--wheels", wheels()]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = removed.run("/usr/local/bin/gateway", "--version").stdout
    assert said.startswith("meshblu-gateway")
