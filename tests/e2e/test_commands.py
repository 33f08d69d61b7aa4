"""Commands from people reach a device on a wire once, and its answer comes back to who asked."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.nodes import Node, Port, join, running, wait_drained
from tests.fakes.people import LocalUser, Login, attached, http, register, repeatedly
from tests.fakes.waiting import soon

pytestmark = [pytest.mark.slow]

NO_RADIO = '[ble]\nenabled = "off"\n'
READING = b'{"id":"valve-1","t":21.5}\n'


class Valve:
    """A line-json device behind a pty: keeps what was written to it, and answers each command when told so."""

    def __init__(self, port: Port, *, answers: bool = True) -> None:
        self.port = port
        self.answers = answers
        self.lines: list[dict[str, Any]] = []
        self._rest = b""

    def attend(self) -> None:
        """Read what came, and answer it."""
        self._rest += self.port.read(seconds=0.01)
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            command = json.loads(line)
            self.lines.append(command)
            if self.answers:
                answer = {"cmd": command["cmd"], "ok": True, **command["set"]}
                self.port.write(json.dumps(answer).encode() + b"\n")


@dataclass
class Site:
    """Two joined nodes, and a valve that the child has claimed."""

    parent: Node
    child: Node
    owner: Login
    user: LocalUser
    valve: Valve
    uuid: str


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = Port(tmp_path / "by-id", "usb-valve")
    user = LocalUser(tmp_path / "user")
    serial = f'[[serial]]\nname = "wire"\nport = "{port.path}"\ndriver = "line-json"\n'
    parent = Node(tmp_path / "parent", config=NO_RADIO)
    child = Node(tmp_path / "child", config=f"{NO_RADIO}{serial}{user.settings}")
    valve = Valve(port)
    with ExitStack() as stack:
        stack.enter_context(running(parent, child))
        owner = register(parent, type="person")
        join(child, parent, owner=owner.uuid)
        soon(lambda: child.status()["links"][0]["state"] == "open", what="the port is open")
        port.write(READING)
        above = parent.wait(lambda s: s["devices"], what="the valve at the parent")
        stack.enter_context(repeatedly(valve.attend, every_s=0.01))
        yield Site(parent, child, owner, user, valve, above["devices"][0]["uuid"])


def test_a_command_from_the_owner_at_the_parent_is_done_once_and_answered(site: Site) -> None:
    with attached(site.parent, site.owner) as owner:
        assert owner.subscribe(site.owner.uuid) in (0, 1)
        owner.send(
            devices=[site.uuid],
            topic="set",
            payload={"open": True},
            metadata={"respondTo": "ticket-1"},
        )
        soon(lambda: owner.messages("response"), seconds=10, what="the answer")
        answer = owner.messages("response")[0]
        assert answer["fromUuid"] == site.uuid
        assert answer["metadata"]["code"] == 200
        assert answer["metadata"]["to"] == "ticket-1"
        assert answer["data"] == {"open": True}
        owner.send(devices=[site.uuid], topic="set", payload={"open": False})
        soon(lambda: len(owner.messages("response")) == 2, seconds=10, what="a second answer")
    assert [line["set"] for line in site.valve.lines] == [{"open": True}, {"open": False}]
    assert {line["id"] for line in site.valve.lines} == {"valve-1"}


def test_a_stranger_at_the_parent_moves_nothing(site: Site) -> None:
    stranger = register(site.parent, type="person")
    with attached(site.parent, stranger) as sender, attached(site.parent, site.owner) as owner:
        owner.subscribe(site.owner.uuid)
        sender.subscribe(stranger.uuid)
        mid = sender.send(devices=[site.uuid], topic="set", payload={"open": True})
        soon(lambda: mid in sender.acknowledged, what="PUBACK")
        owner.send(devices=[site.uuid], topic="set", payload={"open": False})
        soon(lambda: owner.messages("response"), seconds=10, what="the owner's answer")
    assert [line["set"] for line in site.valve.lines] == [{"open": False}]


def test_a_command_waits_for_a_gateway_that_is_away_and_is_done_once(site: Site) -> None:
    with attached(site.parent, site.owner) as owner:
        owner.subscribe(site.owner.uuid)
        site.child.kill()
        owner.send(devices=[site.uuid], topic="set", payload={"open": True})
        soon(lambda: waiting_commands(site.parent) == 1, what="the command waits on disk")
        site.child.start()
        soon(lambda: owner.messages("response"), seconds=15, what="the answer")
        wait_drained(site.child)
        site.child.kill()  # a start that finds the command in its inbox does not do it again
        site.child.start()
        wait_drained(site.child)
        owner.send(devices=[site.uuid], topic="set", payload={"open": False})
        soon(lambda: len(owner.messages("response")) == 2, seconds=15, what="the next answer")
        codes = [message["metadata"]["code"] for message in owner.messages("response")]
    assert codes == [200, 200]
    assert [line["set"] for line in site.valve.lines] == [{"open": True}, {"open": False}]


def test_a_power_cut_in_the_middle_of_a_command_does_not_repeat_it_and_says_so(site: Site) -> None:
    site.valve.answers = False
    with attached(site.parent, site.owner) as owner:
        owner.subscribe(site.owner.uuid)
        owner.send(devices=[site.uuid], topic="set", payload={"open": True})
        soon(lambda: site.valve.lines, what="the command on the wire")
        site.child.kill()
        site.child.start()
        soon(lambda: owner.messages("response"), seconds=15, what="an answer")
        assert owner.messages("response")[0]["metadata"]["code"] == 599
        site.valve.answers = True
        owner.send(devices=[site.uuid], topic="set", payload={"open": False})
        soon(lambda: len(owner.messages("response")) == 2, seconds=15, what="the next answer")
    assert [line["set"] for line in site.valve.lines] == [{"open": True}, {"open": False}]


def test_a_command_that_came_too_late_is_not_written(site: Site) -> None:
    site.child.kill()
    set_open = {"devices": [site.uuid], "topic": "set", "payload": {"open": True}}
    status, _ = http(site.parent, "POST", "/messages", set_open, login=site.owner)
    assert status < 300
    soon(lambda: waiting_commands(site.parent) == 1, what="the command waits on disk")
    site.parent.stop()
    assert waiting_commands(site.parent, minutes_later=1) == 1
    site.parent.start()
    with attached(site.parent, site.owner) as owner:
        owner.subscribe(site.owner.uuid)
        site.child.start()
        wait_drained(site.child)
        soon(lambda: site.child.status()["links"][0]["state"] == "open", what="the port is open")
        owner.send(devices=[site.uuid], topic="set", payload={"open": False})
        soon(
            lambda: 200 in [m["metadata"]["code"] for m in owner.messages("response")],
            seconds=10,
            what="the answer of the command in time",
        )
        codes = [message["metadata"]["code"] for message in owner.messages("response")]
    assert [line["set"] for line in site.valve.lines] == [{"open": False}]
    assert codes in ([200], [504, 200])


def waiting_commands(parent: Node, *, minutes_later: int = 0) -> int:
    """Return how many commands wait in a parent's log; moves their end into the past, as waiting would."""
    with contextlib.closing(sqlite3.connect(parent.state / "log.db")) as database, database:
        if minutes_later:
            past = minutes_later * 60_000
            database.execute(
                "UPDATE down_commands SET deadline_wall_ms = deadline_wall_ms - ?", (past,)
            )
        [(count,)] = database.execute("SELECT count(*) FROM down_commands")
    return int(count)


@pytest.mark.needs("mosquitto_sub", "mosquitto_pub")
def test_a_local_user_commands_by_a_plain_topic_and_is_answered_on_another(site: Site) -> None:
    slug = site.child.status()["devices"][0]["slug"]
    with site.user.listening(site.child, f"devices/{slug}/result") as heard:
        site.user.publish(site.child, f"devices/{slug}/set", '{"open":true}')
        soon(lambda: heard, what="the result")
        result = json.loads(heard[0][1])
        assert (result["code"], result["data"]) == (200, {"open": True})

        site.user.publish(site.child, f"devices/{slug}/set", "open!")
        soon(lambda: len(heard) == 2, what="the refusal")
        assert json.loads(heard[1][1])["code"] in (403, 422)
    assert [line["set"] for line in site.valve.lines] == [{"open": True}]


@pytest.mark.needs("mosquitto_sub", "mosquitto_pub")
def test_a_retained_command_is_refused_for_it_would_click_again_at_each_start(site: Site) -> None:
    slug = site.child.status()["devices"][0]["slug"]
    before = site.child.status()["broker"]
    with site.user.listening(site.child, f"devices/{slug}/result") as heard:
        site.user.publish(site.child, f"devices/{slug}/set", '{"open":true}', "-r")
        site.user.publish(site.child, f"devices/{slug}/set", '{"open":false}')
        soon(lambda: heard, what="the result of the other one")
    assert [line["set"] for line in site.valve.lines] == [{"open": False}]
    after = site.child.status()["broker"]
    assert after["refused"] == before["refused"] + 1
    assert after["retained"] == before["retained"]


def test_a_device_that_does_not_answer_is_answered_for(site: Site) -> None:
    site.valve.answers = False
    began = time.monotonic()
    with attached(site.parent, site.owner) as owner:
        owner.subscribe(site.owner.uuid)
        owner.send(devices=[site.uuid], topic="set", payload={"open": True})
        soon(lambda: owner.messages("response"), seconds=10, what="the answer")
        assert owner.messages("response")[0]["metadata"]["code"] == 504
    assert time.monotonic() - began < 8
    assert len(site.valve.lines) == 1
