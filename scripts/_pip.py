"""Install a hashed requirements list with pip: progress while it runs, and its failures in words."""

import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts._errors import ScriptError

# One line of pip for each requirement it has dealt with; "Ignoring" ones do not fit this machine.
HANDLED = re.compile(r"^(?:Collecting|Requirement already satisfied:|Ignoring) ([A-Za-z0-9._-]+)")
UNPACKING = re.compile(r"^Installing collected packages: (.*)")
NO_NETWORK = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "nodename nor servname provided",
    "Failed to establish a new connection",
    "Network is unreachable",
    "ConnectTimeoutError",
    "ProxyError",
)
SHOWN_LINES = 5  # of pip's own words, below our sentence


class Progress:
    """One status line: what, how many of how many, seconds; on a pipe only its first and last words."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._started = time.monotonic()
        self._is_terminal = sys.stdout.isatty()
        if not self._is_terminal:
            print(f"{title} ({total})", flush=True)

    def show(self, count: int, what: str) -> None:
        """Rewrite the status line."""
        if self._is_terminal:
            seconds = time.monotonic() - self._started
            line = f"{self._title}: {count} of {self._total}, {what} ({seconds:.0f} s)"
            print(f"\r\x1b[K{line[:100]}", end="", flush=True)

    def end(self, words: str) -> None:
        """Replace the status line by its outcome."""
        start = "\r\x1b[K" if self._is_terminal else ""
        print(
            f"{start}{self._title}: {words} ({time.monotonic() - self._started:.0f} s)", flush=True
        )


def count_requirements(path: Path) -> int:
    """How many packages a requirements list names."""
    return sum(1 for line in path.read_text("utf-8").splitlines() if re.match(r"[A-Za-z0-9]", line))


def install(
    pip: Sequence[str], requirements: str, *, total: int, wheels: str | None = None
) -> None:
    """Run `pip` (the words that start it) on a hashed list of `total` packages; raises `ScriptError`.

    With `wheels` (a folder as pip will see it) nothing is fetched.
    """
    source = ["--no-index", "--find-links", wheels] if wheels else ["--retries", "2"]
    words = [
        *pip, "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
        "--no-deps", "--require-hashes", *source, "-r", requirements,
    ]  # fmt: skip
    progress = Progress("installing packages", total)
    said: list[str] = []
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        _follow(process.stdout, progress, said)
    if process.returncode:
        progress.end("failed")
        raise failure("".join(said))
    progress.end("done")


def _follow(lines: Iterable[str], progress: Progress, said: list[str]) -> None:
    handled = 0
    for line in lines:
        said.append(line)
        if match := HANDLED.match(line):
            handled += 1
            progress.show(handled, match[1])
        elif match := UNPACKING.match(line):
            progress.show(handled, f"unpacking {len(match[1].split(','))}")


def failure(said: str) -> ScriptError:
    """Read pip's output and say what a person can do about it."""
    if any(words in said for words in NO_NETWORK):
        return ScriptError(
            "the package index cannot be reached",
            code="GW-1953",
            hint="connect this machine to the network once, then run the same command again; "
            "or hand in a folder of wheels: scripts/install --wheels DIR",
        )
    last = [line for line in said.splitlines() if line.strip()][-SHOWN_LINES:]
    hint = "run the same command again; if it repeats, delete .venv and try once more"
    if platform.machine() in {"armv7l", "armv6l"}:
        hint = "32-bit ARM has no wheel of cffi: sudo apt install gcc libffi-dev python3-dev, then again"
    return ScriptError("pip failed:\n    " + "\n    ".join(last), code="GW-1954", hint=hint)
