"""Sensors on a wire and on the air reach the cloud mesh: real processes, real bytes, strangers' clients as witnesses."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.driver.captures import Capture
from tests.captures.loading import captures
from tests.fakes.nodes import Node, Port, join, running, wait_online
from tests.fakes.people import LocalUser, Login, http, register, repeatedly, wall_ms
from tests.fakes.radio import Air, air
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow]

HERE = Path(__file__).parent
NO_RADIO = '[ble]\nenabled = "off"\n'
WIRES = {  # link -> (driver, settings, captures that belong to one device)
    "json": ("line-json", "", ["jsonlines-00"]),
    "pairs": (
        "line-fields",
        'settings = { units = { BAT = "V" }, starts_whole = true }\n',
        ["keyvalue-00"],
    ),
    "charger": ("vedirect", "", ["vedirect-text-04"]),
}
ADVERTS = ("bthome-006", "ruuvitag-054")
EVERY_S = 0.2


@dataclass
class Site:
    """A child with sensors, its parent, and the owner of all of it at the parent."""

    parent: Node
    child: Node
    owner: Login
    user: LocalUser
    ports: dict[str, Port]
    radio: Air
    recorded: dict[str, Capture]

    def speak(self) -> None:
        """Let every sensor say what it says."""
        for link, (_, _, names) in WIRES.items():
            for name in names:
                item = self.recorded[name].item
                assert isinstance(item, bytes)
                self.ports[link].write(item)
        for name in ADVERTS:
            self.radio.send(self.recorded[name])

    def expected(self) -> dict[str, dict[str, Any]]:
        """Return what the sensors mean: driver -> quantity -> (value, unit), as the recordings say."""
        meaning: dict[str, dict[str, Any]] = {}
        for name in (*(n for _, _, names in WIRES.values() for n in names), *ADVERTS):
            capture = self.recorded[name]
            meaning[capture.driver] = {
                key.rpartition(" ")[2]: tuple(value) for key, value in capture.readings.items()
            }
        return meaning


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two joined nodes; sensors plugged in, silent until they are asked to speak."""
    with ExitStack() as stack:
        radio = stack.enter_context(air(tmp_path))
        ports = {name: Port(tmp_path / "by-id", f"usb-{name}") for name in WIRES}
        user = LocalUser(tmp_path / "user")
        serial = "".join(
            f'[[serial]]\nname = "{name}"\nport = "{ports[name].path}"\ndriver = "{driver}"\n{more}'
            for name, (driver, more, _) in WIRES.items()
        )
        parent = Node(tmp_path / "parent", config=NO_RADIO)
        child = Node(tmp_path / "child", config=f'[ble]\nenabled = "on"\n{serial}{user.settings}')
        stack.enter_context(running(parent, child))
        owner = register(parent, type="person")
        join(child, parent, owner=owner.uuid)
        soon(radio.is_scanning, seconds=15, what="a scan")
        recorded = {capture.id: capture for capture in captures()}
        yield Site(parent, child, owner, user, ports, radio, recorded)


def values(device: dict[str, Any]) -> dict[str, Any]:
    return {name: (entry["value"], entry["unit"]) for name, entry in device["values"].items()}


def all_here(status: dict[str, Any], expected: dict[str, dict[str, Any]]) -> bool:
    return {d["driver"]: values(d) for d in status["devices"]} == expected


@pytest.mark.needs("dbus-daemon", "mosquitto_sub")
def test_what_sensors_say_is_heard_here_and_known_above_with_its_time_and_identity(
    site: Site,
) -> None:
    expected = site.expected()
    with site.user.listening(site.child, "devices/#") as heard:
        began_ms = wall_ms()
        with repeatedly(site.speak, every_s=EVERY_S):
            above = site.parent.wait(lambda s: all_here(s, expected), what="all at the parent")
            here = site.child.wait(lambda s: all_here(s, expected), what="all at the child")
        slugs = {d["uuid"]: d["slug"] for d in here["devices"]}
        soon(
            lambda: {f"devices/{slug}/reading" for slug in slugs.values()} <= {t for t, _ in heard},
            what="every device on the local broker",
        )
    ended_ms = wall_ms()

    by_topic = dict(heard)
    for device in here["devices"]:
        said = json.loads(by_topic[f"devices/{device['slug']}/reading"])
        assert said == {name: entry["value"] for name, entry in device["values"].items()}
        assert (f"devices/{device['slug']}/availability", "online") in heard

    assert {d["uuid"]: d["driver"] for d in above["devices"]} == {
        d["uuid"]: d["driver"] for d in here["devices"]
    }
    assert {d["uuid"]: d["name"] for d in above["devices"]} == slugs
    for device in above["devices"]:
        for entry in device["values"].values():
            assert began_ms - 50 <= entry["at_ms"] <= ended_ms + 50
    status = site.child.status()
    assert status["parked"] == []
    assert status["uplink"]["parent"] == f"127.0.0.1:{site.parent.tls_port}"


def test_a_parent_with_another_certificate_than_the_invitation_names_is_not_joined(
    tmp_path: Path,
) -> None:
    parent = Node(tmp_path / "parent", config=NO_RADIO)
    child = Node(tmp_path / "child", config=NO_RADIO)
    with running(parent, child):
        line = parent.run("mesh", "invite").stdout.splitlines()[0]
        word, host, port, fingerprint, code = line.split(":")
        assert int(port) == parent.tls_port
        other = ("0" if fingerprint[0] != "0" else "1") + fingerprint[1:]
        refused = child.run("join", f"{word}:{host}:{port}:{other}:{code}")
        assert refused.returncode != 0
        assert "GW-16" in refused.stderr
        assert "certificate" in refused.stderr
        assert child.status()["uplink"]["state"] == "none"
        # Nothing of the code was given away: it still works, once.
        assert child.run("join", "-", stdin=line).returncode == 0
        wait_online(child)
        late = Node(tmp_path / "late", config=NO_RADIO)
        with running(late):
            assert late.run("join", "-", stdin=line).returncode != 0
            assert late.status()["uplink"]["state"] == "none"


@pytest.mark.needs("dbus-daemon", "node", "npm")
def test_npms_clients_see_a_sensor_at_the_parent_as_its_owner(
    site: Site, node_modules: Path
) -> None:
    with repeatedly(site.speak, every_s=EVERY_S):
        here = site.child.wait(lambda s: all_here(s, site.expected()), what="all at the child")
        device = next(d for d in here["devices"] if d["driver"] == "line-json")
        uuid = device["uuid"]
        site.parent.wait(
            lambda s: uuid in {d["uuid"] for d in s["devices"]}, what="registered above"
        )
        stranger = register(site.parent, type="person")
        refused, _ = http(site.parent, "GET", f"/v2/devices/{uuid}", login=stranger)
        result = run_owner(site, uuid, node_modules)

    assert refused in (403, 404)
    assert result["whoami"]["value"]["uuid"] == site.owner.uuid
    document = result["device"]["value"]
    assert (document["uuid"], document["driver"], document["owner"]) == (
        uuid,
        "line-json",
        site.owner.uuid,
    )
    assert document["gateway"] == here["node"]["uuid"]
    assert result["granted"] == [0]
    heard = result["heard"]
    assert (heard["fromUuid"], heard["topic"]) == (uuid, "reading")
    assert heard["payload"] == {"t": 21.53, "h": 48.2}
    assert heard["metadata"]["units"] == {"t": "Cel", "h": "%RH"}
    assert heard["metadata"]["observedAt"].endswith("Z")


def run_owner(site: Site, uuid: str, node_modules: Path) -> Any:
    """Run owner.js; returns what it saw."""
    options = {
        "httpPort": site.parent.http_port,
        "mqttPort": site.parent.mqtt_port,
        "owner": {"uuid": site.owner.uuid, "token": site.owner.token},
        "device": uuid,
    }
    process = subprocess.run(
        ["node", str(HERE / "owner.js"), json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "NODE_PATH": str(node_modules), "NODE_NO_WARNINGS": "1"},
        check=False,
    )
    assert process.returncode == 0, process.stderr + process.stdout
    return json.loads(process.stdout)
