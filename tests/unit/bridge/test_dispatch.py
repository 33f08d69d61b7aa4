"""Every command is judged, brought to its host, and answered exactly once."""

import json

import pytest

from gateway.bridge.devices import Devices, Source
from gateway.bridge.dispatch import Dispatcher
from gateway.model import Command, CommandResult, DeviceUuid, HardwareId, Identity, Outcome
from tests.fakes.clock import FakeClock
from tests.unit.bridge.fakes import NODE

PUMP = Identity(
    HardwareId("serial:x/pump"), DeviceUuid("uuid-pump"), "pump", "line-json", "port", 0, None
)
ACTOR = DeviceUuid("uuid-actor")


class Host:
    source = Source("line-json", "port")

    def __init__(self):
        self.taken = []

    def submit(self, command, hardware_id, done):
        self.taken.append((command, hardware_id))
        done(CommandResult(command.id, Outcome.DONE, "", {"valve": True}))


class Desk:
    def __init__(self, *, may=True):
        self.clock, self.devices, self.host = FakeClock(), Devices(), Host()
        self.devices.add(PUMP)
        self.finished, self.published, self.asked = [], [], []
        self.dispatcher = Dispatcher(
            self.devices,
            self.clock,
            may=lambda *question: self.asked.append(question) or may,
            publish=lambda *publish: self.published.append(publish),
            finish=lambda command, result: self.finished.append(result),
            node=NODE,
        )
        self.dispatcher.attach(self.host)

    def send(self, **changes):
        fields = {"device": PUMP.uuid, "deadline_ms": 60_000, "via": None} | changes
        self.dispatcher.send(
            Command("c-1", actor=ACTOR, action="set", params={"valve": True}, **fields)
        )
        (result,) = self.finished
        return result


def test_a_command_reaches_the_host_of_its_device_and_its_answer_is_published():
    desk = Desk()
    assert desk.send().outcome is Outcome.DONE
    assert desk.asked == [(ACTOR, PUMP.uuid, "message.from")]
    assert desk.host.taken[0][1] == PUMP.hardware_id
    ((topic, payload, retain),) = desk.published
    assert (topic, retain) == ("devices/pump/result", False)
    assert json.loads(payload) == {
        "id": "c-1",
        "code": 200,
        "status": "done",
        "data": {"valve": True},
    }


def test_who_is_not_in_message_from_is_refused():
    desk = Desk(may=False)
    assert desk.send().outcome is Outcome.REFUSED
    assert not desk.host.taken
    assert json.loads(desk.published[0][1])["code"] == 422


def test_what_the_parent_sends_was_judged_there():
    desk = Desk(may=False)
    assert desk.send(via="parent").outcome is Outcome.DONE
    assert not desk.asked


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [({"deadline_ms": 0}, Outcome.EXPIRED), ({"device": DeviceUuid("nobody")}, Outcome.REFUSED)],
)
def test_a_command_too_late_or_to_nobody_is_answered_at_once(changes, outcome):
    desk = Desk()
    assert desk.send(**changes).outcome is outcome
    assert not desk.host.taken


def test_a_device_whose_link_is_gone_is_told():
    desk = Desk()
    desk.dispatcher.detach(desk.host)
    result = desk.send()
    assert result.outcome is Outcome.REFUSED
    assert "port" in result.detail


def test_a_device_that_moved_to_another_link_is_commanded_there():
    desk = Desk()
    other = Host()
    other.source = Source("line-json", "other")
    desk.dispatcher.attach(other)
    desk.devices.by_uuid[PUMP.uuid].link = "other"
    desk.send()
    assert other.taken
    assert not desk.host.taken


def test_a_user_writes_to_the_plain_topic_in_the_name_of_the_gateway():
    desk = Desk()
    assert desk.dispatcher.from_topic("pump", b'{"valve":true,"level":0.5}', "ann")
    ((command, _),) = desk.host.taken
    assert (command.actor, command.via, command.action) == (NODE, "user:ann", "set")
    assert command.params == {"valve": True, "level": 0.5}


@pytest.mark.parametrize(
    "payload", [b"", b"on", b"[]", b"{}", b'{"a":{}}', b'{"a":NaN}', b'{"a":null}', b"\xff", b"[" * 4000,
                b'{"a":"' + b"x" * 5000 + b'"}'],
)  # fmt: skip
def test_other_payloads_are_refused_with_an_example(payload):
    desk = Desk()
    assert desk.dispatcher.from_topic("pump", payload, "ann")
    assert [result.outcome for result in desk.finished] == [Outcome.REFUSED]
    assert "relay" in json.loads(desk.published[0][1])["status"]
    assert not desk.host.taken


def test_a_slug_that_is_not_here_is_nobodys():
    assert not Desk().dispatcher.from_topic("nobody", b'{"a":1}', "ann")
