"""Make or refresh `.venv` in this checkout: `runtime` to run a node, `dev` to work on it.

Does nothing, and needs no network, when the environment matches the hashed lists already.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts import _checkout, _pip
from scripts._errors import ScriptError, exit_with

ROOT = Path(__file__).resolve().parent.parent
LISTS = {"runtime": "requirements.txt", "dev": "requirements-dev.txt"}
COVERS = {"runtime": ("runtime",), "dev": ("dev", "runtime")}
"""What is satisfied once a list is installed: the development list contains the other, pin by pin."""
STAMP = "meshblu-gateway.json"


class Environment:
    """The virtual environment of one checkout, with a note in it of what was installed."""

    def __init__(self, root: Path, venv: Path) -> None:
        self._root = root
        self._venv = venv
        self._stamp = venv / STAMP

    def bring_up_to_date(self, kind: str, *, wheels: str | None) -> None:
        """Create, fill and register whatever is missing for `kind`."""
        noted = self._noted()
        if not self._is_alive():
            self._create()
            noted = {}
        if noted.get(kind) != self._digest(LISTS[kind]):
            requirements = self._root / LISTS[kind]
            _pip.install(
                [str(self._venv / "bin" / "python"), "-m", "pip"],
                str(requirements),
                total=_pip.count_requirements(requirements),
                wheels=wheels,
            )
            noted |= {each: self._digest(LISTS[each]) for each in COVERS[kind]}
        project = f"{self._root} {self._digest('pyproject.toml')}"
        if noted.get("project") != project:
            _checkout.point_at(self._root, self._venv)
            noted["project"] = project
        self._note(noted)

    def _noted(self) -> dict[str, str]:
        try:
            noted: dict[str, str] = json.loads(self._stamp.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return noted

    def _note(self, noted: dict[str, str]) -> None:
        if noted != self._noted():
            self._stamp.write_text(json.dumps(noted, indent=1) + "\n", "utf-8")

    def _digest(self, name: str) -> str:
        return hashlib.sha256((self._root / name).read_bytes()).hexdigest()

    def _is_alive(self) -> bool:
        """Whether its interpreter still starts: a system upgrade can take away the Python below it."""
        python = self._venv / "bin" / "python"
        if not python.exists():
            return False
        probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        return (
            subprocess.run([python, "-c", probe], check=False, capture_output=True).returncode == 0
        )

    def _create(self) -> None:
        check_venv_module()
        if (
            self._venv.exists()
            and not (self._venv / "pyvenv.cfg").exists()
            and any(self._venv.iterdir())
        ):
            raise ScriptError(
                f"{self._venv} is in the way: it is no virtual environment",
                code="GW-1954",
                hint=f"move {self._venv} elsewhere, then run the same command again",
            )
        print(f"making {self._venv.name} with Python {platform.python_version()} ...", flush=True)
        shutil.rmtree(self._venv, ignore_errors=True)
        # A venv made from within a venv would break with the outer one: go to the Python below.
        python = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([python, "-m", "venv", self._venv], check=True)


def check_venv_module() -> None:
    """Debian ships Python without the parts that make an environment: say which package has them."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    raise ScriptError(
        "this Python cannot make a virtual environment (no venv and ensurepip)",
        code="GW-1952",
        hint="sudo apt install python3-venv",
    )


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold `folder` against a second run of this script: two terminals on a fresh clone are usual."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up of this checkout is running: waiting for it ...", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main(argv: Sequence[str] | None = None) -> int:
    """Bring `.venv` up to date; returns 0 or raises `ScriptError`."""
    parser = argparse.ArgumentParser(prog="scripts/_setup.py", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=sorted(LISTS), default="runtime")
    parser.add_argument("--wheels", metavar="DIR", help="take packages from DIR, fetch nothing")
    args = parser.parse_args(argv)
    started = time.monotonic()
    with only_one(ROOT / "scripts"):
        Environment(ROOT, ROOT / ".venv").bring_up_to_date(args.kind, wheels=args.wheels)
    if (seconds := time.monotonic() - started) > 1:
        print(f"set up in {seconds:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    exit_with("scripts/_setup.py", main)
