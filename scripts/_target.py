"""The system an installation goes to: this machine, or an unpacked one below a folder (`--root`)."""

import grp
import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scripts._errors import ScriptError

USER = "gateway"


@dataclass(frozen=True, slots=True)
class Target:
    """Paths and commands of one system; paths given to it are absolute, as that system sees them."""

    root: Path

    @property
    def is_this_machine(self) -> bool:
        """Whether we install below `/`."""
        return self.root == Path("/")

    @property
    def runs_systemd(self) -> bool:
        """Whether systemd is there to be told (in a chroot or an unpacked image it is not)."""
        return self.is_this_machine and Path("/run/systemd/system").is_dir()

    def path(self, name: str) -> Path:
        """Where `name` lies for us."""
        return self.root / name.lstrip("/")

    def words(self, *words: str) -> list[str]:
        """Turn a command of that system into one we can start."""
        return list(words) if self.is_this_machine else ["chroot", str(self.root), *words]

    def run(self, *words: str) -> str:
        """Run a command of that system; raises `ScriptError` with its own words."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            self.words(*words), check=False, capture_output=True, text=True, env=clean
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise ScriptError(
                f"`{' '.join(words)}` failed: {' / '.join(said)}",
                code="GW-1956",
                hint="mend what it says, then run scripts/install again: it goes on where it stopped",
            )
        return done.stdout

    def python(self) -> str:
        """Name that system's interpreter, checked: 3.11 or newer, able to make environments."""
        name = (
            getattr(sys, "_base_executable", sys.executable) if self.is_this_machine else "python3"
        )
        probe = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
        words = self.words(name, "-c", probe)
        if shutil.which(words[0]) is None:
            raise ScriptError(
                f"there is no {words[0]} here", code="GW-1956", hint="run this on Linux"
            )
        if subprocess.run(words, check=False, capture_output=True).returncode:
            raise ScriptError(
                f"{name} of {self.root} is older than 3.11, or cannot make virtual environments",
                code="GW-1952",
                hint="there: apt install python3 python3-venv (Debian 12, Raspberry Pi OS 12 or newer)",
            )
        return str(name)

    def groups(self) -> dict[str, list[str]]:
        """Group name -> its members, from that system's own file."""
        return {
            fields[0]: [member for member in fields[3].split(",") if member]
            for fields in self._rows("/etc/group")
        }

    def users(self) -> list[str]:
        """Name the users of that system."""
        return [fields[0] for fields in self._rows("/etc/passwd")]

    def give(self, path: str, *, user: str, group: str, mode: int) -> None:
        """Set owner and mode, by that system's numbers."""
        found = self.path(path)
        os.chown(found, self._number("/etc/passwd", user), self._number("/etc/group", group))
        found.chmod(mode)

    def _number(self, file: str, name: str) -> int:
        if self.is_this_machine:
            return pwd.getpwnam(name).pw_uid if file == "/etc/passwd" else grp.getgrnam(name).gr_gid
        return next(int(fields[2]) for fields in self._rows(file) if fields[0] == name)

    def _rows(self, file: str) -> list[list[str]]:
        try:
            text = self.path(file).read_text("utf-8")
        except FileNotFoundError:
            raise ScriptError(
                f"{self.root} is no unpacked system: it has no {file}",
                code="GW-1956",
                hint="give --root the folder that holds its etc/ and usr/",
            ) from None
        return [line.split(":") for line in text.splitlines() if line.count(":") >= 3]
