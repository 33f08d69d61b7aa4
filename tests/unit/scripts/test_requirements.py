"""The hashed lists: what pyproject.toml asks for, on every platform we name, and nothing about this machine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_24", "manylinux_2_28", "manylinux_2_31", "manylinux_2_34")  # fmt: skip


def entries(name: str) -> list[str]:
    """Each requirement of a list with its marker, without hashes."""
    joined = (ROOT / name).read_text().replace("\\\n", " ")
    return [line.split("--hash")[0].strip() for line in joined.splitlines() if "==" in line]


def pinned(name: str, *, system: str, machine: str, python: str = "3.11") -> dict[str, str]:
    """Package -> version of what a machine of that kind would install."""
    environment = {
        "sys_platform": system, "platform_machine": machine, "python_version": python,
        "python_full_version": f"{python}.9", "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "os_name": "posix",
    }  # fmt: skip
    found = map(Requirement, entries(name))
    return {
        each.name: str(each.specifier).removeprefix("==")
        for each in found
        if each.marker is None or each.marker.evaluate(environment)
    }


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_a_list_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not re.search(r"://|^-|--(?!hash=sha256:)", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_has_a_hash(name: str) -> None:
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    assert [
        line.split()[0] for line in lines if line.strip() and "--hash=sha256:" not in line
    ] == []


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("requirements.txt", PYPROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", PYPROJECT["dependency-groups"]["dev"]),
    ],
)
def test_a_list_is_what_pyproject_asks_for(name: str, asked: list[str]) -> None:
    have = pinned(name, system="linux", machine="x86_64")
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(have[requirement.name]), "run scripts/lock"


def test_the_development_list_contains_the_other_pin_by_pin() -> None:
    for machine in ("x86_64", "aarch64", "armv7l"):
        runtime = pinned("requirements.txt", system="linux", machine=machine)
        dev = pinned("requirements-dev.txt", system="linux", machine=machine)
        assert runtime.items() <= dev.items()


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_on_32_bit_arm_amqtt_and_an_old_bleak_stay_away(python: str) -> None:
    have = pinned("requirements.txt", system="linux", machine="armv7l", python=python)
    assert "amqtt" not in have
    assert (
        "bleak" not in have
    )  # no dbus-fast >= 4 wheel there; an older bleak would be a silent downgrade
    assert {"paho-mqtt", "pyserial", "pydantic", "cryptography"} <= have.keys()


def test_bleak_is_for_linux_only() -> None:
    assert "bleak" not in pinned("requirements.txt", system="darwin", machine="arm64")
    assert "bleak" in pinned("requirements.txt", system="linux", machine="aarch64")


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_wheels_alone_are_enough(tmp_path: Path, python: str, machine: str) -> None:
    """pip itself resolves the list, hashes checked, with no source package: nobody compiles on a board."""
    listed = tmp_path / "requirements.txt"
    text = (ROOT / "requirements.txt").read_text()
    listed.write_text(text)
    platforms = [word for glibc in GLIBC for word in ("--platform", f"{glibc}_{machine}")]
    words = [
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
        "--target", str(tmp_path / "target"), "--python-version", python, *platforms,
        "--only-binary", ":all:", "--no-deps", "--require-hashes", "-r", str(listed),
    ]  # fmt: skip
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
