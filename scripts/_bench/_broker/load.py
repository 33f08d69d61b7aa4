"""The load generator: compiled once into a cache folder, started for each measurement."""

import contextlib
import hashlib
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts._errors import ScriptError

SOURCE = Path(__file__).resolve().parent.parent / "mqtt_load.c"
ANSWER_S = 90.0
MORE_FILES = 512  # than connections


class LoadFailedError(Exception):
    """The load could not do what it was asked: the broker refused it, fell silent or ended."""


def cache() -> Path:
    """Return the folder for what is built or fetched, outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "meshblu-gateway-bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def built() -> Path:
    """Return the compiled generator; raises ScriptError when there is no compiler."""
    name = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    program = cache() / f"mqtt_load-{name}"
    if program.exists():
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise ScriptError(
            "there is no C compiler, and the load is written in C",
            code="GW-1961",
            hint="install one: sudo apt-get install gcc libc6-dev",
        )
    fresh = program.with_suffix(f".{os.getpid()}")
    done = subprocess.run(
        [compiler, "-O2", "-o", str(fresh), str(SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ScriptError(
            f"{SOURCE.name} does not compile: {done.stderr[-300:]}",
            code="GW-1961",
            hint="install the C library's headers: sudo apt-get install libc6-dev",
        )
    fresh.rename(program)
    return program


def allow_files(connections: int) -> None:
    """Raise the limit of open files for this process and those it starts; raises ScriptError if it may not."""
    want = connections + MORE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= want:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(hard, want)))
    except (ValueError, OSError):
        raise ScriptError(
            f"{connections} connections need {want} open files; this user may have {hard}",
            code="GW-1960",
            hint=f"as root: ulimit -n {want}; or leave that scenario out with --only",
        ) from None


class Load:
    """A running generator: `go` once when it is ready."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def answer(self) -> dict[str, float]:
        """Return its next line; raises LoadFailedError with its own words."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            said = self._process.stderr.read().strip()
            raise LoadFailedError(said or "it ended without a word")
        found: dict[str, float] = json.loads(line)
        return found

    def go(self) -> None:
        """Let it do the next step."""
        assert self._process.stdin is not None
        self._process.stdin.write("x")
        self._process.stdin.flush()


@contextlib.contextmanager
def loading(port: int, settings: Mapping[str, int]) -> Iterator[Load]:
    """Start a generator against a port of this machine; it is ended in any case."""
    words = [str(built()), f"port={port}", *(f"{name}={value}" for name, value in settings.items())]
    process = subprocess.Popen(
        ["timeout", f"{ANSWER_S:.0f}", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Load(process)
    finally:
        process.terminate()
        with contextlib.suppress(BrokenPipeError):
            process.communicate()
