"""What one reading costs from serial byte to the parent's TAKEN, in CPU seconds of both real processes.

A pty is fed with JSON lines as fast as the gateway reads them, four values in each, then one in each (the dearest
way to say it); the clock stops when the parent has taken the last one.  Then lines come one by one at a calm pace,
so that nothing is done in batches but what the gateway itself gathers: beside it stands, as `paced_cost_ratio`, how
often that is the cost of a bare reader that only parses the same lines at the same pace.  Memory, start and idle cost are measured
on the same kind of node: both listeners, HTTP, TLS, nobody connected.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.fakes.nodes import Node, Port, rss_mb

Values = Callable[[int], dict[str, float]]

LINES, LINES_QUICK = 50_000, 5_000
PACED_LINES, PACED_QUICK = 4_000, 800
PACED_PER_S = 200  # eight busy sensors; one read, one message, one publish for each line
CHUNK_LINES = 50
IDLE_S, IDLE_QUICK_S = 60.0, 10.0
SETTLE_S = 2.0  # what a start leaves to do is not idleness
TAKEN_S = 180.0

SERIAL = """
[[serial]]
name = "bench"
port = "{port}"
driver = "line-json"
baud = 115200
"""

BARE = """
import asyncio, json, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
def read():
    for line in os.read(fd, 4096).splitlines():
        json.dumps(json.loads(line))
async def main():
    asyncio.get_running_loop().add_reader(fd, read)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
"""The least that Python can do with a line: it is read, parsed and written as JSON again, and goes nowhere."""


def run(*, quick: bool) -> dict[str, float]:
    """Return the metrics; bounded by TAKEN_S seconds for each feeding and IDLE_S of doing nothing."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        port = Port(folder / "by-id", "usb-bench-0001")
        parent = Node(folder / "parent")
        child = Node(folder / "child", config=SERIAL.format(port=port.path))
        try:
            parent.start()
            child.start()
            line = parent.ask("POST", "/mesh/invite", {})["line"]
            child.ask("POST", "/join", {"line": line})
            child.wait(lambda status: status["uplink"]["state"] == "online", what="online")
            metrics = _costs(_Line(port, child, parent), folder, quick=quick)
            metrics |= {"busy_rss_mb": rss_mb(child.pid), "parent_busy_rss_mb": rss_mb(parent.pid)}
        finally:
            child.stop()
            parent.stop()
        return metrics | _at_rest(folder / "rest", quick=quick)


class _Line:
    """A device, its gateway and the parent: feeds lines and tells what that cost."""

    def __init__(self, port: Port, child: Node, parent: Node) -> None:
        self._port = port
        self._child = child
        self._parent = parent
        self._number = 0

    def feed(
        self, values: Values, count: int, *, at_once: int = CHUNK_LINES, per_s: float | None = None
    ) -> tuple[float, float, float]:
        """Return the CPU seconds of child and parent, and how long it took."""
        lines = [_encoded(values(self._number + number)) for number in range(count)]
        self._number += count
        want = self._child.status()["uplink"]["taken"] + count
        child_s, parent_s = _cpu_s(self._child), _cpu_s(self._parent)
        started = time.monotonic()
        for at in range(0, count, at_once):
            if per_s is not None:
                time.sleep(max(started + at / per_s - time.monotonic(), 0))
            self._port.write(b"".join(lines[at : at + at_once]))
        self._child.wait(
            lambda status: status["uplink"]["taken"] >= want,
            seconds=TAKEN_S,
            what=f"{count} taken",
        )
        took = time.monotonic() - started
        return _cpu_s(self._child) - child_s, _cpu_s(self._parent) - parent_s, took


def _costs(line: _Line, folder: Path, *, quick: bool) -> dict[str, float]:
    line.feed(_four, 200)  # claims the device and warms the caches
    count, paced = (LINES_QUICK, PACED_QUICK) if quick else (LINES, PACED_LINES)
    four, one = line.feed(_four, count), line.feed(_one, count)
    calm = line.feed(_one, paced, at_once=1, per_s=PACED_PER_S)
    bare = _bare(folder, paced)
    readings = count * len(_four(0))
    return {
        "readings_per_cpu_s": readings / four[0],
        "parent_readings_per_cpu_s": readings / four[1],
        "readings_per_s": readings / four[2],
        "single_readings_per_cpu_s": count / one[0],
        "parent_single_readings_per_cpu_s": count / one[1],
        "paced_readings_per_cpu_s": paced / calm[0],
        "parent_paced_readings_per_cpu_s": paced / calm[1],
        "paced_cost_ratio": calm[0] / bare,
    }


def _bare(folder: Path, count: int) -> float:
    """Return the CPU seconds of BARE for the same paced lines."""
    port = Port(folder / "by-id", "usb-bare-0001")
    reader = subprocess.Popen([sys.executable, "-c", BARE, str(port.path)], stdout=subprocess.PIPE)
    try:
        assert reader.stdout is not None
        reader.stdout.readline()
        before, started = _cpu_s(reader), time.monotonic()
        for number in range(count):
            time.sleep(max(started + number / PACED_PER_S - time.monotonic(), 0))
            port.write(_encoded(_one(number)))
        time.sleep(0.1)
        return _cpu_s(reader) - before
    finally:
        reader.kill()
        reader.communicate()


def _four(number: int) -> dict[str, float]:
    return {
        "temperature": 20 + number % 70 / 10,
        "humidity": 40 + number % 13,
        "n": number,
        "battery": 3.01,
    }


def _one(number: int) -> dict[str, float]:
    return {"temperature": 20 + number % 70 / 10}


def _encoded(values: dict[str, float]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _at_rest(folder: Path, *, quick: bool) -> dict[str, float]:
    node = Node(folder)
    try:
        node.launch()
        _listening(node.mqtt_port)
        started = _cpu_s(node)
        node.wait_ready()
        time.sleep(SETTLE_S)
        before, since = _cpu_s(node), time.monotonic()
        time.sleep(IDLE_QUICK_S if quick else IDLE_S)
        used, took = _cpu_s(node) - before, time.monotonic() - since
        return {
            "start_cpu_s": started,
            "idle_cpu_percent": 100 * used / took,
            "node_rss_mb": rss_mb(node.pid),
        }
    finally:
        node.stop()


def _listening(port: int) -> None:
    deadline = time.monotonic() + TAKEN_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise AssertionError(f"nothing listens on port {port}")


def _cpu_s(process: Node | subprocess.Popen[bytes]) -> float:
    """Return the CPU seconds of a process to the nanosecond: /proc counts in hundredths, too coarse for an idle one.

    clock_getcpuclockid(3) in numbers: the id of a process's CPU clock on Linux is made from its pid.
    """
    return time.clock_gettime(~process.pid << 3 | 2)
