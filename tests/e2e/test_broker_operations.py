"""`gateway broker` against a real node with real clients: who is there, what they say, what was refused."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.broker_people import Person
from tests.fakes.nodes import Node, running
from tests.fakes.people import http, register
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow]

ANNA = Person("anna", "correct horse")
ROLE = '[ble]\nenabled = "off"\n[[mqtt.roles]]\nname = "den"\nread = ["den/#"]\nwrite = ["den/#"]\n'


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("node"), config=ROLE)
    with running(node):
        words = ("broker", "user", "add", "anna", "--role", "den", "--role", "monitor")
        done = node.run(*words, "--password-stdin", stdin=f"{ANNA.password}\n")
        assert done.returncode == 0, done.stderr
        yield node


def shown(node: Node, *words: str) -> object:
    done = node.run("broker", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_client_is_listed_kicked_and_kept_away(node: Node) -> None:
    with ANNA.staying(node, "den/#", client_id="laptop") as guest:
        assert "laptop" in node.run("broker", "clients").stdout
        [row] = [r for r in shown(node, "clients") if r["client_id"] == "laptop"]  # type: ignore[attr-defined]
        assert (row["identity"], row["listener"]) == ("anna", "tcp")
        said = node.run("broker", "kick", "anna", "--ban-for", "2s").stdout
        assert said == "1 session of anna ended; it may not come back for 2 s\n"
        guest.ends()
        assert not ANNA.may_log_in(node)
    soon(lambda: ANNA.may_log_in(node), seconds=10, what="the end of the ban")
    assert node.run("broker", "kick", "nobody").returncode == 1


def test_what_waits_for_an_absent_client_and_what_is_retained_is_shown(node: Node) -> None:
    with ANNA.staying(node, "den/#", client_id="away", clean_session=False):
        pass
    with ANNA.staying(node, client_id="here") as guest:
        guest.client.publish("den/lamp", b"on", 1, retain=True).wait_for_publish(5)
    [row] = [r for r in shown(node, "sessions") if r["client_id"] == "away"]  # type: ignore[attr-defined]
    assert (row["online"], row["queued"]) == (False, 1)
    assert row["subscriptions"] == [{"filter": "den/#", "qos": 1}]
    assert "den/lamp" in node.run("broker", "retained", "den/#").stdout
    done = node.run("broker", "retained", "den/#", "--clear", "--yes")
    assert done.stdout == "1 retained messages cleared\n"
    assert shown(node, "retained", "den/#")["count"] == 0  # type: ignore[index, call-overload]


def test_what_was_refused_is_shown_with_the_reason(node: Node) -> None:
    assert not Person("anna", "guess").may_log_in(node)
    with ANNA.staying(node, client_id="here") as guest:
        guest.client.publish("garage/door", b"open", 1).wait_for_publish(5)
    said = node.run("broker", "refused").stdout
    assert "bad user name or password" in said
    assert "no role grants writing it" in said
    assert "garage/door" in said
    text = http(node, "GET", "/metrics")[1]
    assert 'gateway_broker_refused_total{reason="no role grants writing it"}' in text
    assert 'gateway_broker_connections{listener="tcp"}' in text
    assert "gateway_broker_journal_groups_total" in text


class Tracer:
    """`gateway broker trace` as a process of its own."""

    def __init__(self, node: Node, out: Path, *words: str) -> None:
        command = [sys.executable, "-m", "gateway", "broker", "trace", *words]
        self._out = out
        with out.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, "--state", str(node.state)], stdout=file, stderr=file, env=node.env
            )

    @property
    def said(self) -> str:
        return self._out.read_text("utf-8")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def test_a_trace_shows_a_client_and_never_the_mesh_nor_a_password(
    node: Node, tmp_path: Path
) -> None:
    device = register(node, type="device:lamp")
    trace = Tracer(node, tmp_path / "trace.txt", "--payload")
    try:
        visitor = Person(device.uuid, device.token)

        def is_seen() -> bool:
            with ANNA.staying(node, "den/#", client_id="laptop") as guest:
                guest.client.publish("den/x", b"hello", 1).wait_for_publish(5)
                soon(lambda: guest.heard, what="its own message")
            return "hello" in trace.said

        soon(is_seen, seconds=20, what="a traced client")
        with visitor.staying(node, device.uuid, client_id="lamp") as guest:
            guest.client.publish("whoami", b'{"callbackId":"1"}').wait_for_publish(5)
            soon(lambda: guest.heard, what="the mesh's answer")
            assert device.uuid.encode() in guest.heard[0][1]
        soon(lambda: "(lamp): DISCONNECT" in trace.said, what="the device in the trace")
    finally:
        trace.end()
    said = trace.said
    assert "from anna (laptop): PUBLISH (d0, q1, r0, m" in said
    assert "'den/x', 5 bytes): hello" in said
    assert "to anna (laptop): PUBACK (m" in said
    for hidden in ("whoami", device.token, ANNA.password, "callbackId", f"'{device.uuid}' q"):
        assert hidden not in said


@pytest.mark.needs("mosquitto_sub")
def test_mosquitto_sub_reads_sys_as_it_does_from_its_own_broker(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "clients"
    folder.mkdir()
    lines = ("-h 127.0.0.1", f"-p {node.mqtt_port}", "-u anna", f"-P {ANNA.password}")
    (folder / "mosquitto_sub").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["mosquitto_sub", "-W", "10", "-C", "40", "-v", "-t", "$SYS/broker/#"],
        env={**os.environ, "XDG_CONFIG_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    values = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if "uptime" not in line and "version" not in line)  # fmt: skip
    assert float(values["$SYS/broker/clients/connected"]) >= 1
    assert float(values["$SYS/broker/bytes/received"]) > 0


def test_a_slow_reader_of_a_trace_loses_lines_and_does_not_slow_the_broker(
    node: Node, tmp_path: Path
) -> None:
    trace = Tracer(node, tmp_path / "trace.txt", "--identity", "anna")
    try:
        soon(lambda: ANNA.may_log_in(node) and "CONNECT" in trace.said, seconds=20, what="a line")
        trace.process.send_signal(signal.SIGSTOP)
        with ANNA.staying(node, "den/#", client_id="busy") as guest:
            for number in range(5000):
                guest.client.publish("den/n", b"%d" % number)
            guest.client.publish("den/n", b"last", 1).wait_for_publish(20)
            soon(lambda: guest.heard[-1:] == [("den/n", b"last")], seconds=20, what="the last")
            assert len(guest.heard) == 5001
        trace.process.send_signal(signal.SIGCONT)
        soon(lambda: "lines were lost" in trace.said, seconds=20, what="the count of lost lines")
    finally:
        trace.process.send_signal(signal.SIGCONT)
        trace.end()
