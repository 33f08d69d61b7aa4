"""What one reading costs from serial byte to the parent's TAKEN, in CPU seconds of both real processes.

A pty is fed with JSON lines of four values as fast as the gateway reads them; the clock stops when the parent
has taken the last one.  Memory, start and idle cost are measured on the same kind of node.
"""

import json
import tempfile
import time
from pathlib import Path

from tests.fakes.nodes import Node, Port, cpu_s, rss_mb

VALUES_PER_LINE = 4
LINES, LINES_QUICK = 50_000, 5_000
IDLE_S, IDLE_QUICK_S = 30.0, 5.0
TAKEN_S = 180.0

SERIAL = """
[[serial]]
name = "bench"
port = "{port}"
driver = "line-json"
baud = 115200
"""


def run(*, quick: bool) -> dict[str, float]:
    """Return the metrics; bounded by TAKEN_S seconds of feeding and IDLE_S of doing nothing."""
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
            return _measure(port, child, parent, quick=quick) | _at_rest(
                folder / "rest", quick=quick
            )
        finally:
            child.stop()
            parent.stop()


def _measure(port: Port, child: Node, parent: Node, *, quick: bool) -> dict[str, float]:
    _feed(port, child, 0, 200)  # claims the device and warms the caches
    count = LINES_QUICK if quick else LINES
    child_s, parent_s, started = cpu_s(child.pid), cpu_s(parent.pid), time.monotonic()
    _feed(port, child, 200, count)
    child_s, parent_s = cpu_s(child.pid) - child_s, cpu_s(parent.pid) - parent_s
    readings = count * VALUES_PER_LINE
    return {
        "readings_per_cpu_s": readings / child_s,
        "parent_readings_per_cpu_s": readings / parent_s,
        "lines_per_cpu_s": count / child_s,
        "readings_per_s": readings / (time.monotonic() - started),
        "busy_rss_mb": rss_mb(child.pid),
    }


def _feed(port: Port, child: Node, first: int, count: int) -> None:
    before = child.status()["uplink"]["taken"]
    chunk: list[bytes] = []
    for number in range(first, first + count):
        values = {
            "temperature": 20 + number % 70 / 10,
            "humidity": 40 + number % 13,
            "n": number,
            "battery": 3.01,
        }
        chunk.append(json.dumps(values).encode() + b"\n")
        if len(chunk) == 50:
            port.write(b"".join(chunk))
            chunk.clear()
    port.write(b"".join(chunk))
    child.wait(
        lambda status: status["uplink"]["taken"] - before >= count,
        seconds=TAKEN_S,
        what=f"{count} taken",
    )


def _at_rest(folder: Path, *, quick: bool) -> dict[str, float]:
    node = Node(folder)
    try:
        node.start()
        started = cpu_s(node.pid)
        time.sleep(2)
        before, since = cpu_s(node.pid), time.monotonic()
        time.sleep(IDLE_QUICK_S if quick else IDLE_S)
        used, took = cpu_s(node.pid) - before, time.monotonic() - since
        return {
            "start_cpu_s": started,
            "idle_cpu_percent": 100 * used / took,
            "node_rss_mb": rss_mb(node.pid),
        }
    finally:
        node.stop()
