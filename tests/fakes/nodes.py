"""Real gateways as processes of their own, on free ports of this machine; for e2e tests, benches and soaks."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.cli.control_client import NoNodeError, ask
from gateway.model import DeviceUuid
from gateway.runtime.clock import SystemClock
from gateway.store.committer import Committer
from gateway.store.history import SqliteHistory

START_S = 30.0
STOP_S = 15.0


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody holds now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Port:
    """A serial device as a pty below a by-id directory; the far end is `write` and `read`."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / name
        self.plug()

    def plug(self) -> None:
        """Appear under a new node behind the same name."""
        self.far, near = os.openpty()
        tty.setraw(near)
        beside = self.path.with_name(f".{self.path.name}")
        beside.unlink(missing_ok=True)
        beside.symlink_to(os.ttyname(near))
        beside.replace(self.path)
        self._near = near

    def unplug(self) -> None:
        """Vanish, as a pulled USB plug does."""
        self.path.unlink(missing_ok=True)
        os.close(self._near)
        os.close(self.far)

    def write(self, data: bytes) -> None:
        """Send bytes to the gateway."""
        while data:
            data = data[os.write(self.far, data) :]

    def read(self, *, seconds: float = 5.0) -> bytes:
        """Return what the gateway wrote, or b'' after a while."""
        import select

        ready, _, _ = select.select([self.far], [], [], seconds)
        return os.read(self.far, 4096) if ready else b""


class Node:
    """One `gateway run` with a state directory of its own."""

    def __init__(
        self, folder: Path, *, config: str = "", env: dict[str, str] | None = None, **ports: int
    ) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.mqtt_port = ports.get("mqtt") or free_port()
        self.tls_port = ports.get("tls") or free_port()
        self.http_port = ports.get("http") or free_port()
        self.config = folder / "gateway.toml"
        self.config.write_text(
            f"[mqtt.tcp]\nport = {self.mqtt_port}\n"
            f'[mqtt.tls]\nenabled = true\nbind = "127.0.0.1"\nport = {self.tls_port}\n'
            f"[http]\nport = {self.http_port}\n{config}"
        )
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """Return everything the node printed."""
        path = self.folder / "log.txt"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        """Return the process id of the running node."""
        assert self.process is not None
        return self.process.pid

    def start(self, *more: str) -> "Node":
        """Start the process and wait until it answers."""
        self.launch(*more)
        self.wait_ready()
        return self

    def launch(self, *more: str) -> None:
        """Start the process without waiting."""
        words = [
            sys.executable,
            "-m",
            "gateway",
            "run",
            "--config",
            str(self.config),
            "--state",
            str(self.state),
        ]
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [*words, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env
            )

    def wait_ready(self, seconds: float = START_S) -> None:
        """Return once the control socket answers; fails with the node's log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, (
                f"the node ended ({self.process.returncode}):\n{self.log}"
            )
            with contextlib.suppress(NoNodeError):
                self.status()
                return
            time.sleep(0.05)
        raise AssertionError(f"the node does not answer:\n{self.log}")

    def stop(self) -> int:
        """End it as systemd does; returns the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send the running process a signal."""
        os.kill(self.pid, number)

    def _end(self, number: int) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the node did not end within {STOP_S} s:\n{self.log}") from None

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask over the control socket, as the `gateway` command does."""
        return ask(self.state, method, path, body)

    def status(self) -> dict[str, Any]:
        """Return the node's status."""
        answer = self.ask("GET", "/status")
        assert isinstance(answer, dict)
        return answer

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a `gateway` command against this node's state."""
        return subprocess.run(
            [sys.executable, "-m", "gateway", *words, "--state", str(self.state)],
            capture_output=True,
            text=True,
            timeout=60,
            input=stdin,
            env=self.env,
            check=False,
        )

    def wait(self, claim: Any, *, seconds: float = 20.0, what: str = "") -> dict[str, Any]:
        """Return the first status for which `claim(status)` holds; fails with the last one and the log."""
        deadline = time.monotonic() + seconds
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            with contextlib.suppress(NoNodeError):
                status = self.status()
                if claim(status):
                    return status
            time.sleep(0.05)
        raise AssertionError(
            f"not within {seconds} s: {what}\n{json.dumps(status, indent=1)}\n{self.log[-4000:]}"
        )


def join(child: Node, parent: Node, *, owner: str | None = None) -> None:
    """Make `child` a child of `parent` as people do, with the line of `gateway mesh invite`; waits until it is online."""
    asked = ("--owner", owner) if owner is not None else ()
    invited = parent.run("mesh", "invite", *asked)
    assert invited.returncode == 0, invited
    joined = child.run("join", "-", stdin=invited.stdout)
    assert joined.returncode == 0, joined
    wait_online(child)


def wait_online(child: Node, *, seconds: float = 20.0) -> None:
    """Return once the line to the parent stands."""
    child.wait(
        lambda status: status["uplink"]["state"] == "online", seconds=seconds, what="uplink online"
    )


def wait_drained(child: Node, *, seconds: float = 20.0) -> None:
    """Return once nothing waits for the parent any more."""
    child.wait(
        lambda status: (
            status["uplink"]["state"] == "online" and status["uplink"]["depth_records"] == 0
        ),
        seconds=seconds,
        what="the log drained",
    )


def history(node: Node, uuid: str, *, limit: int = 10_000) -> list[dict[str, Any]]:
    """Return the readings of a child's device that a stopped parent holds on disk, in the order of arrival."""

    async def read() -> list[dict[str, Any]]:
        committer = Committer(node.state / "log.db", "log", auto_vacuum=True)
        await committer.open()
        try:
            history = SqliteHistory(committer, SystemClock())
            found = await history.readings(
                DeviceUuid(uuid), start_ms=None, finish_ms=None, limit=limit
            )
            return [dict(document) for document in found]
        finally:
            await committer.close()

    assert node.process is None, "stop the node first"
    return asyncio.run(read())


def cpu_s(pid: int) -> float:
    """Return the CPU seconds (user + system) that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return a process's resident memory in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:", 1)[1].split()[0]) / 1024


@contextlib.contextmanager
def running(*nodes: Node) -> Iterator[None]:
    """Start nodes, and end whatever still runs of them afterwards."""
    try:
        for node in nodes:
            node.start()
        yield
    finally:
        for node in nodes:
            with contextlib.suppress(AssertionError):
                node.stop()
