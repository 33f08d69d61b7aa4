"""The README's commands, word for word, on two real nodes, a pty for the port, and the demo that `scripts/start` runs.

Only places are exchanged: the checkout's command, the port's name, ports of HTTP, and what an earlier command said.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.captures.loading import captures
from tests.fakes.broker_people import Person
from tests.fakes.mosquitto import PASSWORD, Mosquitto
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.nodes import Node, Port, running, wait_online
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TOML = re.compile(r"^( *)```toml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
COMMAND_S = 60
PATIENCE_S = 30.0  # a process starts while other tests keep the machine busy
PLACE = "/dev/serial/by-id/YOUR-PORT"


@dataclass
class Shell:
    """A person's terminal in a folder of their own: runs a line of the README with its places exchanged."""

    folder: Path
    places: dict[str, str] = field(default_factory=dict)

    def words(self, line: str) -> str:
        """Return the line as it is run here."""
        assert f"$ {line}\n" in README, "not a line of the README"
        for place, here in {
            ".venv/bin/gateway": f"{sys.executable} -m gateway",
            **self.places,
        }.items():
            line = line.replace(place, here)
        return line  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment: the node's state is where a service's would be."""
        state = {"STATE_DIRECTORY": str(self.folder / "state"), "PYTHONPATH": str(ROOT)}
        return {**os.environ, **state, "PYTHONUNBUFFERED": "1"}

    def run(self, line: str, *, code: int = 0) -> str:
        """Run a line to its end; returns what it printed."""
        done = subprocess.run(
            ["bash", "-c", self.words(line)],
            cwd=self.folder,
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, line: str, log: Path) -> "subprocess.Popen[bytes]":
        """Run a line that stays."""
        with log.open("ab") as file:
            return subprocess.Popen(
                ["bash", "-c", f"exec {self.words(line)}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )


class Charger:
    """A VE.Direct device on a pty that says its captured bytes each half second."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self._bytes = bytes(captures("vedirect")[0].item)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        while not self._ends.wait(0.5):
            self.port.write(self._bytes)

    def close(self) -> None:
        self._ends.set()
        self._thread.join()


@pytest.fixture
def charger(tmp_path: Path) -> Iterator[Charger]:
    charger = Charger(Port(tmp_path / "by-id", "usb-VictronEnergy_charger"))
    yield charger
    charger.close()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "parent").start()
    yield node
    node.stop()


def tables(*words: str) -> str:
    """Return the README's TOML examples that hold these words."""
    blocks = [
        re.sub(rf"^{space}", "", text, flags=re.MULTILINE) for space, text in TOML.findall(README)
    ]
    return "\n".join(block for block in blocks if any(word in block for word in words))  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, charger: Charger) -> Iterator[Node]:
    """The gateway of the README: its examples of gateway.toml, run by its own line."""
    node = Node(tmp_path / "home", config=tables(PLACE).replace(PLACE, str(charger.port.path)))
    shell = shell_of(node, charger)
    shell.run(".venv/bin/gateway config check --config gateway.toml")
    node.process = shell.start(
        ".venv/bin/gateway run --config gateway.toml", node.folder / "log.txt"
    )
    node.wait_ready()
    yield node
    assert node.stop() == 0


def shell_of(node: Node, charger: Charger | None = None) -> Shell:
    places = {"127.0.0.1:8080": f"127.0.0.1:{node.http_port}"}
    if charger is not None:
        places[PLACE] = str(charger.port.path)
    return Shell(node.folder, places)


def test_a_real_sensor_in_five_steps(home: Node, charger: Charger) -> None:
    shell = shell_of(home, charger)
    shell.run(".venv/bin/gateway devices ports")
    assert "vedirect" in shell.run(".venv/bin/gateway drivers")
    home.wait(lambda status: status["devices"], what="the charger heard")
    follower = shell.start(".venv/bin/gateway follow charger", home.folder / "follow.txt")
    soon(
        lambda: "voltage" in (home.folder / "follow.txt").read_text(),
        seconds=PATIENCE_S,
        what="a line of follow",
    )
    follower.send_signal(signal.SIGINT)
    follower.wait(10)


def test_a_port_is_tried_without_a_node(tmp_path: Path, charger: Charger) -> None:
    shell = Shell(tmp_path, {PLACE: str(charger.port.path), " --driver": " --seconds 2 --driver"})
    said = shell.run(".venv/bin/gateway try /dev/serial/by-id/YOUR-PORT --driver vedirect")
    assert "voltage" in said


def test_a_gateway_joins_its_parent_and_leaves_it(home: Node, parent: Node) -> None:
    above, here = shell_of(parent), shell_of(home)
    here.places["LINE"] = above.run(".venv/bin/gateway mesh invite").splitlines()[0]
    here.run(".venv/bin/gateway join LINE")
    wait_online(home)
    assert "online" in here.run(".venv/bin/gateway status")
    assert str(home.status()["node"]["uuid"]) in above.run(".venv/bin/gateway mesh children")
    assert "online" in here.run(".venv/bin/gateway spool")
    here.run(".venv/bin/gateway spool --dead")
    here.run(".venv/bin/gateway mesh cut")
    home.wait(lambda status: status["uplink"]["state"] != "online", what="cut")
    here.run(".venv/bin/gateway mesh mend")
    wait_online(home)
    here.run(".venv/bin/gateway leave")
    home.wait(lambda status: status["uplink"]["state"] == "none", what="left")


@pytest.mark.needs("curl")
def test_what_is_wrong_is_found_out(home: Node) -> None:
    shell = shell_of(home)
    assert "running node" in shell.run(".venv/bin/gateway doctor")
    assert "ready" in shell.run(".venv/bin/gateway logs")
    log = home.folder / "follow-logs.txt"
    following = shell.start(".venv/bin/gateway logs --follow --level uplink=debug", log)
    soon(log.read_text, seconds=PATIENCE_S, what="log lines")
    following.send_signal(signal.SIGINT)
    following.wait(10)
    assert "true" in shell.run("curl http://127.0.0.1:8080/healthcheck")
    assert "gateway_readings_total" in shell.run("curl http://127.0.0.1:8080/metrics")


def test_a_device_is_renamed(home: Node) -> None:
    shell = shell_of(home)
    home.wait(lambda status: status["devices"], what="the charger heard")
    assert "charger" in shell.run(".venv/bin/gateway devices")
    shell.run(".venv/bin/gateway devices rename charger battery")
    assert "battery" in shell.run(".venv/bin/gateway devices")


def registered(shell: Shell) -> bool:
    return '"token"' in shell.run(
        """curl --json '{"type":"device:lamp","registrationCode":"CODE"}' http://127.0.0.1:8080/devices"""
    )


@pytest.mark.needs("curl")
def test_a_meshblu_client_registers_with_a_code_or_in_the_window(home: Node) -> None:
    shell = shell_of(home)
    shell.places["CODE"] = shell.run(".venv/bin/gateway mesh code").strip()
    assert registered(shell)
    assert not registered(shell)  # once
    shell.run(".venv/bin/gateway mesh pair --minutes 10")
    assert registered(shell)


def test_a_user_of_the_readme_logs_in_with_a_hashed_password(tmp_path: Path) -> None:
    from gateway.app.logins import user_from_file

    (tmp_path / "new-password").write_text("correct horse\n")
    Shell(tmp_path).run(
        "(umask 077; .venv/bin/gateway config password < new-password > homeassistant.password)"
    )
    made = tmp_path / "homeassistant.password"
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.read_text().startswith("scrypt:")
    user_from_file("homeassistant", made, (), frozenset())
    config = tmp_path / "gateway.toml"
    config.write_text(tables("mqtt.users"))
    Shell(tmp_path).run(".venv/bin/gateway config check --config gateway.toml")


def test_a_user_of_the_readme_is_added_to_a_running_node(home: Node) -> None:
    shell = shell_of(home)
    (home.folder / "new-password").write_text("correct horse\n")
    shell.run(
        ".venv/bin/gateway broker user add homeassistant --role home --password-stdin < new-password"
    )
    assert "homeassistant" in shell.run(".venv/bin/gateway broker user list")
    person = Person("homeassistant", "correct horse")
    traced = home.folder / "trace.txt"
    tracing = shell.start(
        ".venv/bin/gateway broker trace --identity homeassistant --payload", traced
    )

    def is_traced() -> bool:
        assert person.may_log_in(home)
        return "CONNECT" in traced.read_text()

    soon(is_traced, seconds=PATIENCE_S, what="a login in the trace")
    tracing.send_signal(signal.SIGINT)
    tracing.wait(10)
    with person.staying(home, "homeassistant/#", client_id="ha") as guest:
        assert "homeassistant" in shell.run(".venv/bin/gateway broker clients")
        assert "homeassistant/# q1" in shell.run(".venv/bin/gateway broker sessions")
        shell.run(".venv/bin/gateway broker retained 'homeassistant/#'")
        shell.run(".venv/bin/gateway broker kick homeassistant --ban-for 5m")
        guest.ends()
    assert not person.may_log_in(home)
    assert "kept away" in shell.run(".venv/bin/gateway broker refused")


@pytest.mark.needs("mosquitto_sub")
@pytest.mark.needs("mosquitto_pub")
def test_the_demo_is_followed_watched_and_commanded(tmp_path: Path) -> None:
    state, log, watched = tmp_path / "demo", tmp_path / "log.txt", tmp_path / "watched.txt"
    shell = Shell(tmp_path, {".run/demo": str(state), "scripts/start": f"{ROOT}/scripts/start --state {state}"})  # fmt: skip
    demo = shell.start("scripts/start", log)
    stays = [demo]
    try:
        soon(lambda: "/ui" in log.read_text(), seconds=COMMAND_S, what="the page's address")
        stays.append(shell.start(".venv/bin/gateway follow --state .run/demo", watched))
        sub = shell.words("XDG_CONFIG_HOME=.run/demo/clients mosquitto_sub -v -t 'devices/#'")
        assert sub in log.read_text()  # the command that the demo itself prints
        listening = ["bash", "-c", sub.replace("mosquitto_sub", "exec mosquitto_sub", 1)]
        with watched.open("ab") as file:
            stays.append(subprocess.Popen(listening, stdout=file))
        soon(
            lambda: "devices/demo-power/reading" in watched.read_text(),
            seconds=PATIENCE_S,
            what="a reading on MQTT",
        )
        soon(
            lambda: "  demo-climate" in watched.read_text(),
            seconds=PATIENCE_S,
            what="a reading in the terminal",
        )
        shell.run(
            "XDG_CONFIG_HOME=.run/demo/clients mosquitto_pub -t devices/demo-power/set -m '{\"relay\":false}'"
        )
        soon(
            lambda: '"code":200' in watched.read_text(),
            seconds=PATIENCE_S,
            what="the command's answer",
        )
    finally:
        for process in reversed(stays):
            process.send_signal(signal.SIGINT)
            process.wait(20)
    assert demo.returncode == 0
    assert f"rm -r {state}" in log.read_text()


@pytest.mark.needs("mosquitto")
def test_the_bridge_of_the_readme_brings_readings_to_mosquitto_and_commands_back(
    tmp_path: Path, charger: Charger
) -> None:
    folder = tmp_path / "home"
    with Mosquitto(tmp_path / "mosquitto", users=("gateway", "hass")) as broker:
        text = tables(PLACE, "mqtt.bridges").replace(PLACE, str(charger.port.path))
        text = text.replace("homeassistant.local", "127.0.0.1").replace(
            "port = 1883", f"port = {broker.port}"
        )
        node = Node(folder, config=text)
        (folder / "mosquitto.password").write_text(f"{PASSWORD}\n")
        Shell(folder).run(".venv/bin/gateway config check --config gateway.toml")
        with running(node):
            with paho_client("hass", "hass") as hass:
                hass.client.connect("127.0.0.1", broker.port)
                hass.client.loop_start()
                hass.client.subscribe("devices/#", 1)
                soon(
                    lambda: any(m[0] == "devices/charger/reading" for m in hass.messages),
                    seconds=PATIENCE_S,
                )
                assert ("devices/charger/availability", b"online") in {m[:2] for m in hass.messages}
                hass.client.publish("devices/charger/set", b'{"relay":true}', 1)
                soon(
                    lambda: any(m[0] == "devices/charger/result" for m in hass.messages),
                    seconds=PATIENCE_S,
                )
            assert "bridge homeassistant to 127.0.0.1" in node.run("status").stdout
