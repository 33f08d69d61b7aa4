"""What every test may use: a free port, a state directory, and the `needs` mark.  Nothing is set up unasked."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts._tools import NPM, TOOLS, find

CLIENTS = Path(__file__).parent / "clients"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked `needs(tool)` is skipped without it, but never in CI: there a missing tool is a failure."""
    asked = [tool for mark in item.iter_markers("needs") for tool in mark.args]
    for tool in asked:
        if tool not in TOOLS and not tool.startswith(NPM):
            pytest.fail(f"needs({tool!r}): add it to scripts/_tools.py", pytrace=False)
        if find(tool, CLIENTS) is None:
            said = f"{tool} is not installed: `scripts/test --yes` installs it"
            if os.environ.get("CI"):
                pytest.fail(said, pytrace=False)
            pytest.skip(said)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that returns a TCP port of 127.0.0.1 which nobody listened on a moment ago."""

    def find_one() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find_one


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """An empty state directory, private as the service's own is."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path
