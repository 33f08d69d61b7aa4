"""A node as its operator meets it: starts, stops, faults and the commands against the running process."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.nodes import Node, Port, free_port, join, running, wait_drained
from tests.fakes.people import LocalUser, http
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow]

EXIT_CONFIG = 78
STOP_S = 5.0
NO_RADIO = '[ble]\nenabled = "off"\n'
READING = b'{"t":21.5}\n'


def wire(port: Port, name: str = "wire") -> str:
    return f'{NO_RADIO}[[serial]]\nname = "{name}"\nport = "{port.path}"\ndriver = "line-json"\n'


@pytest.fixture
def port(tmp_path: Path) -> Port:
    return Port(tmp_path / "by-id", "usb-Sensor_0001")


def heard(node: Node, port: Port) -> dict[str, object]:
    """Let the sensor speak until the node has heard it; returns the device."""
    deadline = time.monotonic() + 15
    before = {d["uuid"]: d["last_seen_ms"] for d in node.status()["devices"]}
    while time.monotonic() < deadline:
        port.write(READING)
        time.sleep(0.05)
        for device in node.status()["devices"]:
            if device["values"] and device["last_seen_ms"] != before.get(device["uuid"]):
                found: dict[str, object] = device
                return found
    raise AssertionError(f"nothing was heard:\n{node.log}")


def ended(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# ---- identity ---------------------------------------------------------------------------------


def test_a_device_keeps_its_identity_through_replug_and_restart(tmp_path: Path, port: Port) -> None:
    node = Node(tmp_path / "node", config=wire(port))
    with running(node):
        first = heard(node, port)
        tty = node.status()["links"][0]["device"]
        port.unplug()
        node.wait(lambda s: s["links"][0]["state"] != "open", what="the unplug is seen")
        node.wait(lambda s: s["devices"][0]["availability"] == "offline", what="it is offline")
        spare = os.openpty()  # takes the old name, so that the device comes back under another one
        port.plug()
        node.wait(lambda s: s["links"][0]["state"] == "open", what="the replug is seen")
        again = heard(node, port)
        assert node.status()["links"][0]["device"] != tty
        for fd in spare:
            os.close(fd)
        assert (again["uuid"], again["slug"]) == (first["uuid"], first["slug"])
        assert again["availability"] == "online"
        node_uuid = node.status()["node"]["uuid"]
        assert node.stop() == 0
        port.unplug()

        node.start()
        status = node.status()
        assert status["node"]["uuid"] == node_uuid
        [kept] = status["devices"]
        assert (kept["uuid"], kept["slug"]) == (first["uuid"], first["slug"])
        assert kept["availability"] == "offline"
        assert abs(kept["last_seen_ms"] - int(str(again["last_seen_ms"]))) <= 2000


def test_a_device_keeps_its_identity_when_the_power_was_cut(tmp_path: Path, port: Port) -> None:
    node = Node(tmp_path / "node", config=wire(port))
    with running(node):
        first = heard(node, port)
        node.kill()
        node.start()
        [kept] = node.status()["devices"]
        assert kept["uuid"] == first["uuid"]


# ---- what is taken ----------------------------------------------------------------------------


def test_a_second_gateway_on_the_same_state_is_refused(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", config=NO_RADIO)
    with running(node):
        second = ended(["run", "--config", str(node.config), "--state", str(node.state)])
        assert second.returncode == 1, "systemd tries again: the other one may be an operator's"
        assert "GW-1806" in second.stderr
        assert str(node.pid) in second.stderr
        assert node.status()["node"]["uuid"]


@pytest.mark.parametrize("face", ["mqtt", "http"])
def test_a_taken_port_is_named_and_the_rest_runs(tmp_path: Path, face: str) -> None:
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        taken = thief.getsockname()[1]
        node = Node(tmp_path / "node", config=NO_RADIO, **{face: taken})
        with running(node):
            status = node.wait(lambda s: s["parked"], what="the taken port is shown")
            row = status["parked"][0]
            assert str(taken) in row["text"]
            assert row["code"].startswith("GW-1")
            assert row["hint"]
            assert f"127.0.0.1:{taken}" not in status[face]["listeners"]
            if face == "mqtt":
                assert http(node, "GET", "/healthcheck")[0] == 200
            else:
                with socket.create_connection(("127.0.0.1", node.mqtt_port), timeout=5):
                    pass
            said = node.run("status")
            assert said.returncode == 1
            assert row["code"] in said.stdout


# ---- configuration ----------------------------------------------------------------------------


def test_bad_items_are_parked_with_their_lines_and_the_rest_runs(
    tmp_path: Path, port: Port
) -> None:
    bad = (
        '[[serial]]\nname = "odd"\nport = "/dev/null-0"\ndriver = "no-such-driver"\n'
        '[[serial]]\nname = "fast"\nport = "/dev/null-1"\ndriver = "line-json"\nbaud = "fast"\n'
    )
    node = Node(tmp_path / "node", config=wire(port) + bad)
    with running(node):
        assert heard(node, port)
        parked = node.status()["parked"]
        text = node.config.read_text().splitlines()
        lines = [text.index('driver = "no-such-driver"') + 1, text.index('baud = "fast"') + 1]
        shown = [f"{row['what']} {row['text']}" for row in parked]
        assert len(parked) == 2, parked
        for line, row in zip(lines, shown, strict=True):
            assert f"gateway.toml:{line}" in row or f"line {line}" in row, (line, row)
        assert [link["name"] for link in node.status()["links"]] == ["wire"]
        checked = ended(["config", "check", "--config", str(node.config)])
        assert checked.returncode != 0
        assert all(row["code"] in checked.stdout + checked.stderr for row in parked)


def test_a_broken_file_is_replaced_by_its_last_good_copy_which_is_said(
    tmp_path: Path, port: Port
) -> None:
    node = Node(tmp_path / "node", config=wire(port))
    with running(node):
        first = heard(node, port)
        assert node.stop() == 0
        node.config.write_text("[mqtt\nport = ")
        node.start()
        assert heard(node, port)["uuid"] == first["uuid"]
        [row] = node.status()["parked"]
        assert row["what"] == "configuration"
        assert "running on" in row["text"]
        assert "gateway.1.toml" in row["text"]
        assert row["hint"]


def test_a_broken_file_without_a_copy_ends_with_78(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text("[mqtt\nport = ")
    said = ended(["run", "--config", str(config), "--state", str(tmp_path / "state")])
    assert said.returncode == EXIT_CONFIG
    assert "GW-10" in said.stderr
    assert str(config) in said.stderr
    assert "what to do" in said.stderr


# ---- lifecycle --------------------------------------------------------------------------------


def test_sigterm_ends_it_with_0_within_seconds_even_while_somebody_follows(
    tmp_path: Path, port: Port
) -> None:
    node = Node(tmp_path / "node", config=wire(port))
    with running(node):
        heard(node, port)
        words = [sys.executable, "-m", "gateway", "follow", "--state", str(node.state)]
        follower = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert follower.stdout is not None
        heard(node, port)
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < STOP_S
        assert follower.wait(10) in (0, 1)
        follower.stdout.close()


def test_systemd_is_told_when_mqtt_listens_and_when_it_ends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        node = Node(tmp_path / "node", config=NO_RADIO, env=env)
        try:
            node.launch()
            told = ""
            while "READY=1" not in told.splitlines():
                told = systemd.recv(4096).decode()
            with socket.create_connection(("127.0.0.1", node.mqtt_port), timeout=5):
                pass
            said = ""
            while "WATCHDOG=1" not in said:
                said = systemd.recv(4096).decode()
        finally:
            assert node.stop() == 0
        systemd.settimeout(1)
        said = ""
        while "STOPPING=1" not in said:
            said = systemd.recv(4096).decode()


# ---- commands against the running node --------------------------------------------------------


def test_every_command_speaks_with_the_running_node(tmp_path: Path, port: Port) -> None:
    parent = Node(tmp_path / "parent", config=NO_RADIO)
    child = Node(tmp_path / "child", config=wire(port))
    with running(parent, child):
        join(child, parent)
        device = heard(child, port)
        wait_drained(child)
        slug = str(device["slug"])

        status = child.run("status")
        assert status.returncode == 0, status
        assert slug in status.stdout
        assert "online" in status.stdout
        assert json.loads(child.run("status", "--json").stdout)["node"]["uuid"]

        devices = child.run("devices")
        assert slug in devices.stdout
        assert str(device["uuid"]) in devices.stdout
        assert child.run("devices", "rename", slug, "sauna").returncode == 0
        assert child.status()["devices"][0]["slug"] == "sauna"

        spool = child.run("spool")
        assert (spool.returncode, "records waiting" in spool.stdout) == (0, True)
        logs = child.run("logs")
        assert "device claimed" in logs.stdout
        doctor = child.run("doctor", "--config", str(child.config))
        assert doctor.returncode == 0, doctor
        assert "parent" in doctor.stdout

        followed = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gateway",
                "follow",
                "--count",
                "1",
                "--state",
                str(child.state),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert followed.stdout is not None
        soon(
            lambda: (heard(child, port), followed.poll() is not None)[1],
            seconds=15,
            what="follow has printed one",
        )
        assert "21.5" in followed.stdout.read()
        followed.stdout.close()

        children = parent.run("mesh", "children")
        assert children.returncode == 0, children
        assert child.status()["node"]["uuid"] in children.stdout
        assert "online" in children.stdout
        shown = parent.run("status")
        assert shown.returncode == 0, shown
        assert "1 child" in shown.stdout

        assert child.run("leave").returncode == 0
        child.wait(lambda s: s["uplink"]["state"] == "none", what="the parent is left")
        parent.wait(lambda s: not s["children"][0]["online"], what="the child is gone")


def test_a_command_without_a_running_node_says_so(tmp_path: Path) -> None:
    said = ended(["status", "--state", str(tmp_path)])
    assert said.returncode == 1
    assert "what to do" in said.stderr


def test_a_log_level_changes_at_run_time(tmp_path: Path, port: Port) -> None:
    node = Node(tmp_path / "node", config=wire(port))
    with running(node):
        node.wait(lambda s: s["links"][0]["state"] == "open", what="the port is open")
        levels = ["bridge=warning", "bridge=info"]
        for number, level in enumerate(levels, 1):
            assert node.run("logs", "--level", level).returncode == 0
            port.write(b'{"id":"sensor-%d","t":1}\n' % number)
            node.wait(lambda s, n=number: len(s["devices"]) == n, what="the device is claimed")
        assert "slug=sensor-1" not in node.log
        soon(lambda: "slug=sensor-2" in node.log, what="the claim is logged")
        assert node.run("logs", "--level", "bridge=loud").returncode != 0


# ---- pages, numbers, health -------------------------------------------------------------------


def test_health_version_and_numbers_are_served(tmp_path: Path, port: Port) -> None:
    node = Node(tmp_path / "node", config=wire(port))
    with running(node):
        heard(node, port)
        assert http(node, "GET", "/healthcheck") == (200, {"online": True})
        assert http(node, "GET", "/version") == (200, {"version": node.status()["node"]["version"]})
        status, numbers = http(node, "GET", "/metrics")
        assert status == 200
        values = dict(
            line.rsplit(" ", 1) for line in numbers.splitlines() if line and line[0] != "#"
        )
        assert float(values["gateway_devices"]) == 1
        assert float(values["gateway_readings_total"]) >= 1
        assert float(values["gateway_parked_items"]) == 0
        status, page = http(node, "GET", "/ui")
        assert status == 200
        assert "EventSource" in page


@pytest.mark.needs("mosquitto_sub")
def test_health_is_a_retained_topic(tmp_path: Path) -> None:
    user = LocalUser(tmp_path / "user")
    node = Node(tmp_path / "node", config=NO_RADIO + user.settings)
    with running(node), user.listening(node, "gateway/health") as heard_there:
        soon(lambda: heard_there, what="health")
        topic, payload = heard_there[0]
        assert topic == "gateway/health"
        said = json.loads(payload)
        assert said["uplink"] == "none"
        assert said["peak_rss_kb"] > 1000
        assert "load" in said


# ---- the demo ---------------------------------------------------------------------------------


def test_the_demo_ends_cleanly_names_its_state_and_forgets_its_devices(tmp_path: Path) -> None:
    demo = Node(tmp_path / "demo", config=NO_RADIO)
    cloud = demo.state.with_name("state-cloud")
    demo.state.rmdir()
    try:
        demo.launch("--demo")
        demo.wait_ready()
        status = demo.wait(
            lambda s: len([d for d in s["devices"] if d["values"]]) >= 3, what="devices play"
        )
        assert status["node"]["demo"] is True
        assert all(d["slug"].startswith("demo-") and d["demo"] for d in status["devices"])
        demo.wait(lambda s: s["uplink"]["taken"] > 0, what="the parent takes")
        elsewhere = demo.run("join", "gateway-join1:127.0.0.1:1:" + "0" * 64 + ":X3W2-ECGF-KTRM")
        assert "GW-1814" in elsewhere.stderr
        assert demo.process is not None
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(15) == 0, demo.log
        demo.process = None
    finally:
        with contextlib.suppress(AssertionError):
            demo.stop()
    assert f"rm -r {demo.state} {cloud} removes it" in demo.log
    assert cloud.is_dir()
    assert "Traceback" not in demo.log

    with contextlib.closing(sqlite3.connect(demo.state / "state.db")) as database:
        assert database.execute("SELECT count(*) FROM identities").fetchone() == (0,)
    with contextlib.closing(sqlite3.connect(cloud / "state.db")) as database:
        assert database.execute("SELECT count(*) FROM devices").fetchone()[0] > 1


def test_a_demo_takes_other_ports_than_those_that_are_held(tmp_path: Path) -> None:
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", free_port()))
        thief.listen()
        taken = thief.getsockname()[1]
        demo = Node(tmp_path / "demo", config=NO_RADIO, mqtt=taken)
        demo.state.rmdir()
        try:
            demo.launch("--demo")
            demo.wait_ready()
            assert f"port {taken} is held by" in demo.log
            assert demo.status()["mqtt"]["listeners"]
        finally:
            demo.stop()
