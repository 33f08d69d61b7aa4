"""The demo around a node: free ports, a second node that plays the cloud, and a tidy end.

The parent is a process of its own with a state directory of its own, so that it can be killed without us.
"""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.app.client_file import password_file
from gateway.app.lock import StateLock
from gateway.app.ports_taken import any_free, holder, is_free
from gateway.cli.control_client import NoNodeError, ask
from gateway.errors import GatewayError
from gateway.runtime.files import write_atomically

MARK = "demo"
BIND = "127.0.0.1"
OWN_PORTS = (1883, 8080)  # MQTT, HTTP
PARENT_PORTS = (11883, 18080)
START_S = 30.0
STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class DemoPorts:
    """Ports of one of the two nodes."""

    mqtt: int
    http: int

    @property
    def page(self) -> str:
        """Return the origin of the node's page."""
        return f"http://{BIND}:{self.http}"


def fresh_state(state: Path) -> Path:
    """Return a state directory that holds nothing but this demo; an earlier demo's is emptied.

    Raises GatewayError GW-1813 where a node in earnest lives there: played-back devices must not reach it.
    """
    for folder in (state, cloud_state(state)):
        if folder.exists() and any(folder.iterdir()):
            if not (folder / MARK).exists():
                raise GatewayError(
                    f"{folder} belongs to a node that is no demo",
                    code="GW-1813",
                    hint="give the demo a directory of its own: gateway run --demo --state DIR",
                )
            StateLock(folder).release()  # says so when it still runs
            shutil.rmtree(folder)
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        (folder / MARK).write_text(
            "made by `gateway run --demo`; emptied when the next demo starts\n"
        )
    password = password_file(state)
    password.parent.mkdir(mode=0o700)
    write_atomically(password, secrets.token_hex(16).encode() + b"\n")
    return state


def cloud_state(state: Path) -> Path:
    """Return where the demo's parent keeps its state."""
    return state.with_name(f"{state.name}-cloud")


def choose(wanted: tuple[int, int]) -> DemoPorts:
    """Return the wanted ports, or free ones in place of those that are taken, saying by whom."""
    chosen = []
    for port, what in zip(wanted, ("MQTT", "HTTP"), strict=True):
        if is_free(BIND, port):
            chosen.append(port)
            continue
        other = any_free(BIND)
        print(f"port {port} is held by {holder(port)}: {what} takes {other} instead", flush=True)
        chosen.append(other)
    return DemoPorts(*chosen)


@contextlib.contextmanager
def parent_running(state: Path, ports: DemoPorts, child_page: str) -> Iterator[str]:
    """Run the demo's parent; yields a fresh line for `gateway join`.

    Raises GatewayError GW-1812 with the end of its log when it does not start.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = state / "gateway.toml"
    config.write_text(
        f'[node]\nname = "demo-cloud"\n[mqtt.tcp]\nport = {ports.mqtt}\n[http]\nport = {ports.http}\n'
        '[ble]\nenabled = "off"\n'
    )
    words = ["--config", str(config), "--state", str(state), "--demo-parent-of", child_page]
    with (state / "log.txt").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "gateway", "run", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us alone; we end it after ourselves
        )
    try:
        _wait(process, state)
        yield str(ask(state, "POST", "/mesh/invite", {})["line"])
    finally:
        _end(process)


def _wait(process: "subprocess.Popen[bytes]", state: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(NoNodeError):
            ask(state, "GET", "/status")
            return
        time.sleep(0.05)
    tail = (state / "log.txt").read_text("utf-8", "replace").strip().splitlines()[-5:]
    raise GatewayError(
        "the demo's parent does not start: " + " / ".join(tail),
        code="GW-1812",
        hint=f"look at {state / 'log.txt'}; `rm -r {state}` gives it a fresh state",
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
