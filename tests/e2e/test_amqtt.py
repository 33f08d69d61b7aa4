"""The other engine: amqtt serves users and plain topics on the plain listener, and nothing else is lost by it."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.nodes import Node, running

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto_sub")]

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
        assert any("amqtt" in where for where in node.status()["mqtt"]["listeners"])
        said = heard(node, tmp_path, "right").stdout
        assert said.startswith('gateway/health {"uptime_s":')
        refused = heard(node, tmp_path, "wrong")
        assert refused.returncode != 0
        assert refused.stdout == ""
