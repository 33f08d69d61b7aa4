"""What a message costs our MQTT broker, in CPU seconds a 100,000 delivered, against Debian's mosquitto.

Both brokers run as processes of their own, one after the other, under the same load from a third process; the
load waits for its own deliveries, so neither broker builds a backlog.  `*_ratio` below 1 means ours is cheaper.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts._errors import ScriptError
from scripts._tools import SYSTEM_FOLDERS

COUNTS = {"fanin0": 200_000, "fanin1": 100_000, "lone1": 40_000, "fanout0": 400_000}
"""Delivered messages of each scenario; a tenth of them when quick."""
ROUNDS = 3  # the best counts: noise of a shared machine only ever adds
START_S = 10.0
SCENARIO_S = 60.0

MOSQUITTO_CONF = """
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
persistence false
log_type none
"""

OURS = """
import asyncio, sys
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.mqtt.ports import Grant, Principal, PrincipalKind
USER = Principal(PrincipalKind.USER, "bench", (Grant("#", read=True, write=True),))
async def main():
    broker = Broker(lambda credentials, done: done(USER))
    async with asyncio.TaskGroup() as group:
        group.create_task(Listener(broker, ListenerSpec("bench", ("127.0.0.1",), int(sys.argv[1]))).run())
        group.create_task(broker.run())
asyncio.run(main())
"""


def run(*, quick: bool) -> dict[str, float]:
    """Return CPU seconds per 100,000 messages of both brokers and their ratio; at most 60 s a scenario."""
    divide, rounds = (10, 1) if quick else (1, ROUNDS)
    counts = {name: count // divide for name, count in COUNTS.items()}
    metrics: dict[str, float] = {}
    for broker, started in (("ours", _ours), ("mosquitto", _mosquitto)):
        best: dict[str, float] = {}
        with started() as (pid, port):
            for _ in range(rounds):
                for name, count in counts.items():
                    cost = _cost(pid, port, name, count)
                    best[name] = min(cost, best.get(name, cost))
            metrics |= {f"{broker}_{name}_cpu_s_per_100k": best[name] for name in counts}
            metrics[f"{broker}_rss_mb"] = _rss_mb(pid)
    for name in counts:
        metrics[f"{name}_ratio"] = (
            metrics[f"ours_{name}_cpu_s_per_100k"] / metrics[f"mosquitto_{name}_cpu_s_per_100k"]
        )
    return metrics


def _cost(pid: int, port: int, name: str, count: int) -> float:
    before = _cpu_s(pid)
    load = [sys.executable, "-m", "scripts._bench._mqtt_load", str(port), name, str(count)]
    done = subprocess.run(load, capture_output=True, text=True, timeout=SCENARIO_S, check=False)
    if done.returncode:
        raise ScriptError(
            f"the load {name} did not finish: {done.stderr[-300:]}",
            code="GW-1960",
            hint="run it again on a quieter machine",
        )
    delivered = json.loads(done.stdout)["delivered"]
    return (_cpu_s(pid) - before) * 100_000 / float(delivered)


@contextlib.contextmanager
def _ours() -> Iterator[tuple[int, int]]:
    port = _free_port()
    with _process([sys.executable, "-c", OURS, str(port)], port) as pid:
        yield pid, port


@contextlib.contextmanager
def _mosquitto() -> Iterator[tuple[int, int]]:
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        conf = Path(folder) / "mosquitto.conf"
        conf.write_text(MOSQUITTO_CONF.format(port=port), "utf-8")
        with _process(["mosquitto", "-c", str(conf)], port) as pid:
            yield pid, port


@contextlib.contextmanager
def _process(command: list[str], port: int) -> Iterator[int]:
    path = f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"
    try:
        process = subprocess.Popen(command, env=os.environ | {"PATH": path})
    except FileNotFoundError:
        raise ScriptError(
            f"{command[0]} is not installed",
            code="GW-1961",
            hint=f"install it: sudo apt-get install {command[0]}",
        ) from None
    try:
        deadline = time.monotonic() + START_S
        while not _accepts(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise ScriptError(
                    f"{command[0]} did not start", code="GW-1960", hint="run it by hand"
                )
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(START_S)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
