"""How clients come in to a running node: by certificate, by user id, through HAProxy; and what a shut door does."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app.logins import hash_line
from gateway.uplink.certificate import fingerprint
from tests.fakes.certificates import self_signed
from tests.fakes.nodes import Node, free_port, join, running, wait_online
from tests.fakes.people import register
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto_pub", "mosquitto_sub")]

NO_RADIO = '[ble]\nenabled = "off"\n'
PASSWORD = "correct horse"


def anna(folder: Path) -> str:
    """Return a user's table, with role home."""
    (folder / "anna").write_text(hash_line(PASSWORD))
    return f'[[mqtt.users]]\nname = "anna"\npassword_file = "{folder}/anna"\nroles = ["home"]\n'


def said(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a mosquitto client to its end."""
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)


@contextlib.contextmanager
def listening(*words: str) -> Iterator[list[str]]:
    """Run a mosquitto_sub; yields the lines that come."""
    process = subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", *words, "-d", "-F", "GOT %t %p"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line.strip())
            if "SUBACK" in line or "Subscribed" in line:
                break
        yield lines
    finally:
        process.kill()  # mosquitto_sub 2.0.11 may deadlock in its own handler of SIGTERM
        lines += [line.strip() for line in process.stdout.read().splitlines()]
        process.wait(10)
        process.stdout.close()


def clients(node: Node) -> dict[str, str]:
    """Return identity -> peer of who is connected."""
    return {row["identity"]: row["peer"] for row in node.ask("GET", "/broker/clients")}


README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_listeners_of_the_readme_open(tmp_path):
    (text,) = (block for block in TOML.findall(README) if "[[mqtt.listeners]]" in block)
    _, _, text = text.partition("[mqtt.websocket]")  # a node of these tests has its own [mqtt.tls]
    ports = [free_port() for _ in range(3)]
    text = text.replace("enabled = true", f"enabled = true\nport = {ports[0]}", 1)
    text = text.replace("8884", str(ports[1])).replace("1884", str(ports[2]), 1)
    node = Node(tmp_path, config=f"{NO_RADIO}[mqtt.websocket]{text}")
    with running(node):
        places = node.status()["mqtt"]["listeners"]
        assert [f"127.0.0.1:{port}" in places for port in ports] == [True] * 3
        assert node.status()["parked"] == []


# ---- operators ----


def test_an_operator_watches_everything_over_the_unix_socket_without_a_password(tmp_path):
    node = Node(tmp_path, config=NO_RADIO + anna(tmp_path))
    with running(node):
        path = str(node.state / "mqtt.sock")
        assert path in node.status()["mqtt"]["listeners"]
        assert Path(path).stat().st_mode & 0o777 == 0o660
        with listening("--unix", path, "-t", "homeassistant/#", "-t", "$SYS/#") as lines:
            sent = said(
                "mosquitto_pub", "-p", str(node.mqtt_port), "-u", "anna", "-P", PASSWORD,
                "-t", "homeassistant/lamp", "-m", "on", "-q", "1",
            )  # fmt: skip
            assert sent.returncode == 0, sent
            time.sleep(0.05)
        assert "GOT homeassistant/lamp on" in lines
        assert any(line.startswith("GOT $SYS/") for line in lines)
    assert not Path(path).exists()


def test_a_node_that_was_killed_takes_its_socket_again(tmp_path):
    node = Node(tmp_path, config=NO_RADIO)
    with running(node):
        node.kill()
        assert (node.state / "mqtt.sock").exists()
        node.start()
        assert str(node.state / "mqtt.sock") in node.status()["mqtt"]["listeners"]


# ---- certificates ----


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[tuple[Node, int]]:
    """A node with a listener that requires client certificates, and its port."""
    port = free_port()
    node = Node(
        tmp_path,
        config=NO_RADIO
        + anna(tmp_path)
        + f'[[mqtt.listeners]]\nname = "certified"\nport = {port}\ntls = true\n'
        + 'client_certificates = "required"\n',
    )
    with running(node):
        yield node, port


def issued(node: Node, name: str) -> Path:
    """Issue a certificate with the command; returns the file."""
    out = node.folder / f"{name}.pem"
    made = node.run("broker", "certificate", name, "--out", str(out), "--json")
    assert made.returncode == 0, made
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(made.stdout)["note"] in (
        None,
        f"there is no user {name!r} yet (gateway broker user add {name})",
    )
    return out


def with_certificate(file: Path, port: int) -> list[str]:
    name = str(file)
    return ["-h", "localhost", "-p", str(port), "--cafile", name, "--cert", name, "--key", name]


def test_a_user_comes_in_by_a_certificate_that_the_node_issued(certified):
    node, port = certified
    words = with_certificate(issued(node, "anna"), port)
    with listening(*words, "-t", "homeassistant/#") as lines:
        assert set(clients(node)) == {"anna"}
        sent = said("mosquitto_pub", *words, "-t", "homeassistant/x", "-m", "1", "-q", "1")
        assert sent.returncode == 0, sent
        time.sleep(0.05)
    assert "GOT homeassistant/x 1" in lines


def test_a_device_comes_in_by_a_certificate_and_one_that_is_unknown_does_not(certified):
    node, port = certified
    uuid = register(node).uuid
    words = with_certificate(issued(node, uuid), port)
    with listening(*words, "-t", uuid):
        assert set(clients(node)) == {uuid}
    stranger = "99999999-aaaa-4bbb-8ccc-000000000009"
    refused = said("mosquitto_sub", *with_certificate(issued(node, stranger), port), "-t", "x")
    assert refused.returncode == 5, refused
    assert "not authorised" in refused.stderr


def test_without_a_certificate_nobody_comes_in_even_with_a_password(certified):
    node, port = certified
    words = ["-h", "localhost", "-p", str(port), "--cafile", str(node.state / "tls" / "ca.crt")]
    refused = said("mosquitto_pub", *words, "-u", "anna", "-P", PASSWORD, "-t", "x", "-m", "y")
    assert refused.returncode != 0
    assert node.ask("GET", "/broker/clients") == []


def test_a_certificate_is_never_written_over_a_file(certified):
    node, _ = certified
    out = node.folder / "precious"
    out.write_text("precious")
    made = node.run("broker", "certificate", "anna", "--out", str(out))
    assert made.returncode == 78
    assert "GW-1125" in made.stderr
    assert out.read_text() == "precious"


# ---- HAProxy ----

HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen one
  bind 127.0.0.1:{one}
  server gateway 127.0.0.1:{plain} send-proxy
listen two
  bind 127.0.0.1:{two}
  server gateway 127.0.0.1:{plain} send-proxy-v2
listen through
  bind 127.0.0.1:{through}
  server gateway 127.0.0.1:{tls} send-proxy-v2
listen ends
  bind 127.0.0.1:{ends} ssl crt {pem} ca-file {ca} verify optional
  server gateway 127.0.0.1:{plain} send-proxy-v2-ssl-cn
"""


@pytest.mark.needs("haproxy")
def test_haproxy_says_who_its_clients_are(tmp_path):
    ports = {name: free_port() for name in ("one", "two", "through", "ends", "plain", "tls")}
    node = Node(
        tmp_path,
        config=NO_RADIO
        + anna(tmp_path)
        + f'[[mqtt.listeners]]\nname = "plain"\nport = {ports["plain"]}\nproxy_protocol = true\n'
        + 'client_certificates = "optional"\n'
        + f'[[mqtt.listeners]]\nname = "tls"\nport = {ports["tls"]}\nproxy_protocol = true\n'.replace(
            '"tls"', '"behind"'
        )
        + "tls = true\n",
    )
    with running(node):
        file = issued(node, "anna")
        ca = node.state / "tls" / "ca.crt"
        pem = tmp_path / "haproxy.pem"
        pem.write_bytes(
            (node.state / "tls" / "server.crt").read_bytes()
            + (node.state / "secrets" / "node.key").read_bytes()
        )
        config = tmp_path / "haproxy.cfg"
        config.write_text(HAPROXY.format(**ports, pem=pem, ca=ca))
        haproxy = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(config)])
        try:
            soon(lambda: answers(ports["ends"]), what="HAProxy listens")
            login = ["-u", "anna", "-P", PASSWORD, "-t", "homeassistant/#"]
            trust = ["-h", "localhost", "--cafile", str(ca)]
            for name, words in {
                "one": ["-h", "127.0.0.1", *login],
                "two": ["-h", "127.0.0.1", *login],
                "through": [*trust, *login],
                "ends": [*trust, "--cert", str(file), "--key", str(file), "-t", "homeassistant/#"],
            }.items():
                # From another loopback address, so that the proxy's own cannot be mistaken for it.
                bound = ["-A", "127.0.0.9"] if name != "ends" else []
                with listening("-p", str(ports[name]), *bound, *words):
                    found = clients(node)
                    assert set(found) == {"anna"}, name
                    if bound:
                        assert found["anna"].startswith("127.0.0.9:"), name
        finally:
            haproxy.terminate()
            haproxy.wait(10)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


# ---- doors that stay shut ----


def test_a_listener_whose_port_is_taken_is_parked_and_the_others_serve(tmp_path):
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", free_port()))
        thief.listen()
        taken = thief.getsockname()[1]
        (tmp_path / "in-the-way").write_text("precious")
        node = Node(
            tmp_path,
            config=NO_RADIO
            + f"[mqtt.websocket]\nenabled = true\nport = {taken}\n"
            + f'[mqtt.unix]\npath = "{tmp_path}/in-the-way"\n',
        )
        with running(node):
            parked = {row["what"]: row["code"] for row in node.status()["parked"]}
            assert parked == {"mqtt-websocket": "GW-1103", "mqtt-unix": "GW-1121"}
            assert len(node.status()["mqtt"]["listeners"]) == 2
            assert (tmp_path / "in-the-way").read_text() == "precious"


def test_a_listener_without_names_says_so_at_every_start(tmp_path):
    port = free_port()
    config = f'[[mqtt.listeners]]\nname = "hall"\nport = {port}\nanonymous_roles = ["home"]\n'
    node = Node(tmp_path, config=NO_RADIO + config)
    with running(node):
        assert "GW-1126" in node.log
        sent = said("mosquitto_pub", "-p", str(port), "-t", "homeassistant/x", "-m", "1", "-q", "1")
        assert sent.returncode == 0, sent
        closed = said("mosquitto_pub", "-p", str(node.mqtt_port), "-t", "x", "-m", "1", "-q", "1")
        assert closed.returncode == 4 or "refused" in closed.stderr.lower()


# ---- parents and children ----


def shown_by(port: int) -> str:
    """Return the fingerprint of the certificate that a client without a host name sees."""
    return fingerprint(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port))))


def test_a_child_of_before_the_ca_keeps_its_parent_and_a_new_one_joins(tmp_path):
    parent = Node(tmp_path / "parent", config=NO_RADIO)
    old, new = (Node(tmp_path / name, config=NO_RADIO) for name in ("old", "new"))
    for folder in ("tls", "secrets"):
        (parent.state / folder).mkdir(mode=0o700)
    certificate, key = self_signed("gateway")
    (parent.state / "tls" / "node.crt").write_bytes(certificate)
    (parent.state / "secrets" / "node.key").write_bytes(key)
    (parent.state / "secrets" / "node.key").chmod(0o600)
    with running(parent, old, new):
        join(new, parent)
        join(old, parent)
        old.stop()
        file = old.state / "parent.json"
        fields = json.loads(file.read_text())
        assert len(fields["fingerprint"]) == 64
        # What a version of before the CA has in its place: the fingerprint of the whole certificate.
        fields["fingerprint"] = fingerprint(ssl.PEM_cert_to_DER_cert(certificate.decode()))
        file.write_text(json.dumps(fields))
        old.start()
        wait_online(old)
        wait_online(new)


def test_a_renewed_certificate_is_the_same_parent(tmp_path):
    parent, child = (Node(tmp_path / name, config=NO_RADIO) for name in ("parent", "child"))
    with running(parent, child):
        join(child, parent)
        before = shown_by(parent.tls_port)
        parent.stop()
        (parent.state / "tls" / "server.json").unlink()  # as after a restore without it
        parent.start()
        assert shown_by(parent.tls_port) != before
        wait_online(child, seconds=70)
