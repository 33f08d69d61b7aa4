"""The other engine: amqtt serves users and plain topics on the plain listener, and nothing else is lost by it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.fakes.nodes import Node, Port, running
from tests.fakes.people import LocalUser
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto_sub", "mosquitto_pub")]

CONFIG = """
[mqtt]
engine = "amqtt"
[[mqtt.users]]
name = "ada"
password_file = "ada.password"
roles = ["monitor"]
"""


def heard(node: Node, folder: Path, password: str) -> subprocess.CompletedProcess[str]:
    """Listen for one message, with the login in a file of its own."""
    clients = folder / f"clients-{password}"
    clients.mkdir()
    options = f"-h 127.0.0.1\n-p {node.mqtt_port}\n-u ada\n-P {password}\n"
    (clients / "mosquitto_sub").write_text(options)
    return subprocess.run(
        ["mosquitto_sub", "-W", "10", "-C", "1", "-v", "-t", "gateway/#"],
        env=node.env | {"XDG_CONFIG_HOME": str(clients)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_user_hears_plain_topics_of_a_node_that_runs_amqtt(tmp_path: Path):
    (tmp_path / "ada.password").write_text("right")
    node = Node(tmp_path, config=CONFIG)
    with running(node):
        assert any("(amqtt)" in where for where in node.status()["mqtt"]["listeners"])
        said = heard(node, tmp_path, "right").stdout
        assert said.startswith('gateway/health {"uptime_s":')
        refused = heard(node, tmp_path, "wrong")
        assert refused.returncode != 0
        assert refused.stdout == ""


def test_what_the_listener_lets_in_holds_for_amqtt_too(tmp_path: Path):
    (tmp_path / "ada.password").write_text("right")
    node = Node(tmp_path, config=CONFIG)
    node.config.write_text(
        node.config.read_text().replace("[mqtt.tcp]\n", '[mqtt.tcp]\nroles = ["home"]\n')
    )
    with running(node):
        assert heard(node, tmp_path, "right").stdout == ""


def test_amqtt_does_not_listen_where_the_listener_is_switched_off(tmp_path: Path):
    (tmp_path / "ada.password").write_text("right")
    node = Node(tmp_path, config=CONFIG)
    node.config.write_text(
        node.config.read_text().replace("[mqtt.tcp]\n", "[mqtt.tcp]\nenabled = false\n")
    )
    with running(node):
        assert not any("(amqtt)" in where for where in node.status()["mqtt"]["listeners"])


def test_a_command_written_through_amqtt_reaches_the_device(tmp_path: Path):
    port, user = Port(tmp_path / "by-id", "usb-valve"), LocalUser(tmp_path / "user")
    serial = f'[[serial]]\nname = "wire"\nport = "{port.path}"\ndriver = "line-json"\n'
    engine = '[ble]\nenabled = "off"\n[mqtt]\nengine = "amqtt"\n'
    node = Node(tmp_path, config=f"{engine}{serial}{user.settings}")
    with running(node):
        soon(lambda: node.status()["links"][0]["state"] == "open", what="the port is open")
        port.write(b'{"id":"valve-1","t":21.5}\n')
        slug = node.wait(lambda s: s["devices"], what="the valve")["devices"][0]["slug"]
        user.publish(node, f"devices/{slug}/set", '{"open":false}', "-r")  # not carried out
        user.publish(node, f"devices/{slug}/set", '{"open":true}')
        assert json.loads(port.read(seconds=10))["set"] == {"open": True}
