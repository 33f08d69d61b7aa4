"""A bridge of a running node: what waits for the other broker survives a power cut, and people see how it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.fakes.bridges import own_authority
from tests.fakes.certificates import self_signed
from tests.fakes.mosquitto import PASSWORD, Mosquitto
from tests.fakes.nodes import Node, running
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]

MANY = 500

CONFIG = """[ble]
enabled = "off"
[[mqtt.users]]
name = "ada"
password_file = "ada.password"
roles = ["admin"]
[[mqtt.bridges]]
name = "home"
host = "127.0.0.1"
port = {port}
tls = false
username = "bridge"
password_file = "bridge.password"
version = "{version}"
topics = [
  {{direction = "out", filter = "a/#"}},
  {{direction = "in", filter = "b/#"}},
]
{more}"""


class Client:
    """paho in its own thread."""

    def __init__(self, port: int, user: str, *filters: str, client_id: str = "") -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.published: list[int] = []
        self.subscribed: list[int] = []
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=not client_id
        )
        self.client.username_pw_set(user, PASSWORD)
        self.client.on_message = lambda _c, _u, m: self.messages.append((m.topic, bytes(m.payload)))
        self.client.on_publish = lambda _c, _u, mid, _r, _p: self.published.append(mid)
        self.client.on_subscribe = lambda _c, _u, mid, _r, _p: self.subscribed.append(mid)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        for pattern in filters:
            self.client.subscribe(pattern, 1)
        soon(lambda: len(self.subscribed) == len(filters), what="SUBACK")

    def burst(self, topic: str, first: int, count: int) -> None:
        """Publish numbers at QoS 1 and wait until each is acknowledged."""
        done = len(self.published)
        for number in range(first, first + count):
            self.client.publish(topic, str(number), 1)
        soon(lambda: len(self.published) == done + count, seconds=30, what="PUBACKs")

    def numbers(self, topic: str) -> list[int]:
        return [int(payload) for name, payload in self.messages if name == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto", keeps=True) as broker:
        yield broker


def node_of(folder: Path, port: int, *, version: str = "auto", password: str = PASSWORD, more: str = "") -> Node:  # fmt: skip
    node = Node(folder / "node", config=CONFIG.format(port=port, version=version, more=more))
    (node.folder / "ada.password").write_text(PASSWORD)
    (node.folder / "bridge.password").write_text(password)
    return node


def bridge(status: dict[str, Any]) -> dict[str, Any]:
    found = status["bridges"]
    assert len(found) == 1
    return dict(found[0])


def wait_connected(node: Node) -> dict[str, Any]:
    return bridge(node.wait(lambda s: bridge(s)["state"] == "connected", what="the bridge stands"))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_what_waits_for_the_other_broker_survives_kill_9(
    tmp_path: Path, mosquitto: Mosquitto, version: str
) -> None:
    node = node_of(tmp_path, mosquitto.port, version=version)
    with running(node):
        wait_connected(node)
        mosquitto.stop()
        node.wait(lambda s: bridge(s)["state"] != "connected", what="the loss is seen")
        ada = Client(node.mqtt_port, "ada")
        ada.burst("a/b", 0, MANY)
        assert bridge(node.status())["queued"] == MANY
        node.kill()
        ada.close()
        node.start()
        assert bridge(node.status())["queued"] == MANY
        mosquitto.start()
        admin = Client(mosquitto.port, "admin", "a/#")
        wait_connected(node)
        node.wait(lambda s: bridge(s)["queued"] == 0, what="all is over there")
        soon(lambda: len(admin.numbers("a/b")) >= MANY)
        admin.close()
    found = admin.numbers("a/b")
    assert list(dict.fromkeys(found)) == list(range(MANY))
    assert len(found) == MANY


def test_what_is_in_flight_at_kill_9_arrives_on_both_sides(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    node = node_of(tmp_path, mosquitto.port)
    with running(node):
        wait_connected(node)
        admin = Client(mosquitto.port, "admin", "a/#")
        keeper = Client(node.mqtt_port, "ada", "b/#", client_id="keeper")
        ada = Client(node.mqtt_port, "ada")
        for number in range(MANY):
            ada.client.publish("a/b", str(number), 1)
            admin.client.publish("b/c", str(number), 1)
        soon(lambda: ada.published)
        node.kill()
        taken = len(ada.published)
        ada.close()
        node.start()
        wait_connected(node)
        node.wait(lambda s: bridge(s)["queued"] == 0, what="all is over there")
        soon(lambda: set(admin.numbers("a/b")) >= set(range(taken)), seconds=20)
        soon(lambda: len(set(keeper.numbers("b/c"))) == MANY, seconds=20)
        for client in (admin, keeper):
            client.close()
    for found in (admin.numbers("a/b"), keeper.numbers("b/c")):
        first_times = list(dict.fromkeys(found))
        assert first_times == list(range(len(first_times)))


def test_people_see_how_a_bridge_is_and_what_is_wrong_with_it(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    node = node_of(tmp_path, mosquitto.port, password="wrong")
    with running(node):
        status = node.wait(lambda s: s["parked"], what="the refusal is shown")
        assert [(row["what"], row["code"]) for row in status["parked"]] == [
            ("bridge home", "GW-1143")
        ]
        shown = node.run("status")
        assert shown.returncode == 1
        assert f"bridge home to 127.0.0.1:{mosquitto.port}: refused" in shown.stdout
        assert "what to do: check `username` and `password_file`" in shown.stdout
        doctor = node.run("doctor", "--config", str(node.config))
        assert "GW-1143" in doctor.stdout
        assert "wrong" not in node.log
        assert node.log.count("GW-1143") == 1
        node.stop()
        (node.folder / "bridge.password").write_text(PASSWORD)
        node.start()
        wait_connected(node)
        ada = Client(node.mqtt_port, "ada", "$SYS/broker/connection/home/state")
        ada.burst("a/b", 0, 3)
        node.wait(lambda s: bridge(s)["sent"] == 3)
        soon(lambda: ada.messages == [("$SYS/broker/connection/home/state", b"1")])
        ada.close()
        text = node.run("status").stdout
        assert f"bridge home to 127.0.0.1:{mosquitto.port}: connected" in text
        assert "sent: 3; received: 0; waiting: 0; dropped: 0" in text
        metrics = urlopen(f"http://127.0.0.1:{node.http_port}/metrics").read().decode()
        assert 'gateway_bridge_sent_messages_total{bridge="home"} 3' in metrics
        assert 'gateway_bridge_connected_ratio{bridge="home"} 1' in metrics
        assert node.status()["parked"] == []


def test_a_bridge_that_cannot_be_made_is_parked_and_keeps_its_queue(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    node = node_of(tmp_path, mosquitto.port)
    right = node.config.read_text()
    with running(node):
        wait_connected(node)
        mosquitto.stop()
        node.wait(lambda s: bridge(s)["state"] != "connected", what="the loss is seen")
        ada = Client(node.mqtt_port, "ada")
        ada.burst("a/b", 0, 20)
        ada.close()
        node.stop()
        node.config.write_text(right.replace('filter = "a/#"', 'filter = "$SYS/#"'))
        node.start()
        assert node.status()["bridges"] == []
        assert [row["code"] for row in node.status()["parked"]] == ["GW-1140"]
        node.stop()
        node.config.write_text(right.replace("bridge.password", "missing.password"))
        node.start()
        assert [row["code"] for row in node.status()["parked"]] == ["GW-1009"]
        node.stop()
        node.config.write_text(right)
        mosquitto.start()
        admin = Client(mosquitto.port, "admin", "a/#")
        node.start()
        soon(lambda: admin.numbers("a/b") == list(range(20)), seconds=20)
        admin.close()


def test_a_bridge_that_is_removed_leaves_nothing_behind(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    node = node_of(tmp_path, mosquitto.port)
    with running(node):
        wait_connected(node)
        node.stop()
        node.config.write_text(node.config.read_text().partition("[[mqtt.bridges]]")[0])
        node.start()
        sessions = json.loads(node.run("broker", "sessions", "--json").stdout)
        assert [row for row in sessions if "bridge" in str(row)] == []


TLS = """listener {port} 127.0.0.1
certfile {folder}/cert.pem
keyfile {folder}/key.pem
"""


def test_tls_is_checked_against_the_ca_that_is_named(tmp_path: Path) -> None:
    from tests.fakes.nodes import free_port

    folder = tmp_path / "mosquitto"
    folder.mkdir()
    certificate, key = own_authority()
    (folder / "cert.pem").write_bytes(certificate)
    (folder / "key.pem").write_bytes(key)
    (folder / "other.pem").write_bytes(self_signed("127.0.0.1")[0])
    port = free_port()
    with Mosquitto(folder, more=TLS.format(port=port, folder=folder)):
        node = node_of(tmp_path, port)
        plain = node.config.read_text()
        for ca, code in (("", "GW-1142"), ("other.pem", "GW-1142"), ("key.pem", "GW-1148"), ("cert.pem", "")):  # fmt: skip
            named = f'ca_file = "{folder}/{ca}"' if ca else ""
            node.config.write_text(plain.replace("tls = false", named))
            with running(node):
                if code:
                    status = node.wait(lambda s: s["parked"], what="the fault is shown")
                    assert [row["code"] for row in status["parked"]] == [code]
                else:
                    wait_connected(node)
