"""Who has a device file open: the answer to "the port is busy", read from /proc (Linux; elsewhere nobody is named)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Holder:
    """One process that has the device open."""

    pid: int
    program: str

    def __str__(self) -> str:
        if self.pid == os.getpid():
            return "this gateway itself (two links name the same port)"
        return f"{self.program} (pid {self.pid})"


def holders(device: str) -> list[Holder]:
    """Return the processes that have `device` (a path or a link to one) open, as far as this user may see."""
    real = os.path.realpath(device)
    return [
        Holder(pid, _program(pid)) for pid in _pids() if any(at == real for at in _open_files(pid))
    ]


def _pids() -> Iterator[int]:
    try:
        with os.scandir(PROC) as entries:
            yield from (int(entry.name) for entry in entries if entry.name.isdigit())
    except OSError:
        return  # macOS has no /proc


def _open_files(pid: int) -> Iterator[str]:
    try:
        files = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return  # gone meanwhile, or of another user
    for file in files:
        try:
            yield str(file.readlink())
        except OSError:
            continue


def _program(pid: int) -> str:
    """Return what a person would call it: the script for an interpreter, else the program."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "a program that just ended"
    texts = [word.decode(errors="replace") for word in words if word]
    if not texts:
        return "a kernel thread"
    program = Path(texts[0]).name
    if program.startswith("python") and len(texts) > 1:
        return (
            f"{program} {Path(texts[1]).name}"
            if texts[1] != "-m"
            else f"{program} {' '.join(texts[1:3])}"
        )
    return program
