"""Eight hours' worth of traffic through one gateway and its parent: memory must not grow.

Traffic is compressed in time: what eight sensors say in eight hours at one reading a second, as fast as it is
taken.  Every hour's worth the line is cut and mended, so that the log fills and drains too.
"""

import json
import tempfile
import time
from pathlib import Path

from tests.fakes.nodes import Node, Port, rss_mb

SENSORS, SECONDS_PER_HOUR, HOURS = 8, 3600, 8
QUICK_SHARE = 20  # a quick run takes a twentieth of each hour
TAKEN_S = 300.0

SERIAL = """
[[serial]]
name = "soak"
port = "{port}"
driver = "line-json"
"""


def run(*, quick: bool) -> dict[str, float]:
    """Return RSS after the first and the last hour of both nodes, and the growth since (aim: at most 2 MB)."""
    seconds = SECONDS_PER_HOUR // QUICK_SHARE if quick else SECONDS_PER_HOUR
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        port = Port(folder / "by-id", "usb-soak-0001")
        parent = Node(folder / "parent")
        child = Node(folder / "child", config=SERIAL.format(port=port.path))
        try:
            parent.start()
            child.start()
            child.ask("POST", "/join", {"line": parent.ask("POST", "/mesh/invite", {})["line"]})
            child.wait(lambda status: status["uplink"]["state"] == "online", what="online")
            hours = [_hour(port, child, parent, hour, seconds) for hour in range(HOURS)]
        finally:
            child.stop()
            parent.stop()
    return {
        **_growth("child", [child_mb for child_mb, _ in hours]),
        **_growth("parent", [parent_mb for _, parent_mb in hours]),
        "messages": float(HOURS * seconds * SENSORS),
    }


def _growth(name: str, hours_mb: list[float]) -> dict[str, float]:
    """Return the first and the last hour's figure, and how far the worst hour lies above the first."""
    return {
        f"{name}_first_mb": hours_mb[0],
        f"{name}_last_mb": hours_mb[-1],
        f"{name}_growth_mb": max(hours_mb) - hours_mb[0],
    }


def _hour(port: Port, child: Node, parent: Node, hour: int, seconds: int) -> tuple[float, float]:
    before = child.status()["uplink"]["taken"]
    for second in range(seconds):
        if second == seconds // 2:
            child.ask("POST", "/line", {"cut": True})
        if second == seconds * 3 // 5:
            child.ask("POST", "/line", {"cut": False})
        port.write(b"".join(_line(sensor, hour * seconds + second) for sensor in range(SENSORS)))
    want = seconds * SENSORS
    child.wait(
        lambda status: status["uplink"]["taken"] - before >= want, seconds=TAKEN_S, what="taken"
    )
    time.sleep(1)
    child_mb, parent_mb = rss_mb(child.pid), rss_mb(parent.pid)
    print(
        f"hour {hour + 1} of {HOURS}: child {child_mb:.1f} MB, parent {parent_mb:.1f} MB",
        flush=True,
    )
    return child_mb, parent_mb


def _line(sensor: int, second: int) -> bytes:
    values = {
        "id": f"s{sensor}",
        "temperature": 20 + second % 97 / 10,
        "humidity": 40 + second % 23,
    }
    return json.dumps(values).encode() + b"\n"
