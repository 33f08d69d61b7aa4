"""One driver on one link: readings in, commands out, restarts alone."""

import json

import pytest
from pydantic import BaseModel

from gateway.bridge.host import DriverHost
from gateway.bridge.turns import MOST_QUEUED
from gateway.driver.contract import Driver, LinkKind, Request
from gateway.errors import ConfigError, UnsupportedCommandError
from gateway.model import Command, CommandResult, DeviceUuid, HardwareId, Outcome, Reading
from tests.fakes.waiting import eventually
from tests.unit.bridge.fakes import FakeLink


class Settings(BaseModel):
    gap_ms: int = 0
    timeout_ms: int = 50
    expects_answer: bool = True
    questions: int = 0
    secret: str = ""


class Lines:
    """`name=value` lines; `!id` answers a command; `boom` is a bug."""

    def __init__(self, settings, origin):
        self.settings, self.origin, self.rest, self.asked = settings, origin, b"", 0

    def feed(self, item, at):
        lines = (self.rest + item).split(b"\n")
        self.rest = lines.pop()
        said = []
        for line in lines:
            if line == b"boom":
                raise RuntimeError("bug")
            if line.startswith(b"!"):
                said.append(CommandResult(line[1:].decode(), Outcome.DONE))
            else:
                name, _, value = line.decode().partition("=")
                said.append(Reading(HardwareId(self.origin), name, float(value), "", at))
        return said

    def poll(self):
        if self.asked >= self.settings.questions:
            return None
        self.asked += 1
        return Request(b"?\n", timeout_ms=self.settings.timeout_ms, expects_answer=True)

    def encode(self, command):
        if command.action != "set":
            raise UnsupportedCommandError("cannot", code="GW-1701", hint="do not")
        return Request(
            command.id.encode() + b"\n",
            timeout_ms=self.settings.timeout_ms,
            gap_ms=self.settings.gap_ms,
            command_id=command.id,
            expects_answer=self.settings.expects_answer,
        )


DRIVER = Driver("lines", LinkKind.SERIAL, Settings, Lines)
KNOWN = "serial:usb-X_1"


def hosted(bench, **settings):
    link = FakeLink(bench.clock)
    return link, DriverHost(link, DRIVER, settings, intake=bench.intake, clock=bench.clock)


def command(number=1, action="set", deadline_ms=60_000):
    return Command(f"c{number}", DeviceUuid("d"), DeviceUuid("a"), action, {}, deadline_ms)


def values(bench):
    return [json.loads(message.body)["payload"] for message in bench.routed]


async def test_readings_flow_from_link_to_router(bench, running):
    link, host = hosted(bench)
    async with running(bench.intake, host):
        link.feed(b"t=1\nt=", b"2\n")
        await eventually(lambda: len(bench.routed) == 2)
    assert values(bench) == [{"t": 1.0}, {"t": 2.0}]
    assert link.readers == 0


async def test_a_command_is_written_and_answered(bench, running):
    link, host = hosted(bench)
    link.on_write = lambda data: link.feed(b"!" + data)
    results = []
    async with running(host):
        await eventually(lambda: link.is_open)
        host.submit(command(), HardwareId(KNOWN), results.append)
        await eventually(lambda: results)
    assert results == [CommandResult("c1", Outcome.DONE)]
    assert link.written == [b"c1\n"]


async def test_commands_take_turns(bench, running):
    link, host = hosted(bench, timeout_ms=2000)
    results = []
    async with running(host):
        await eventually(lambda: link.is_open)
        for number in (1, 2):
            host.submit(command(number), HardwareId(KNOWN), results.append)
        await eventually(lambda: link.written)
        assert link.written == [b"c1\n"]
        link.feed(b"!c1\n")
        await eventually(lambda: len(link.written) == 2)
        link.feed(b"!c2\n")
        await eventually(lambda: len(results) == 2)
    assert [result.command_id for result in results] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("settings", "sent", "outcome"),
    [({"timeout_ms": 10}, command(), Outcome.TIMED_OUT),
     ({"expects_answer": False}, command(), Outcome.DONE),
     ({}, command(deadline_ms=0), Outcome.EXPIRED),
     ({}, command(action="dance"), Outcome.REFUSED)],
)  # fmt: skip
async def test_every_command_ends(bench, running, settings, sent, outcome):
    link, host = hosted(bench, **settings)
    results = []
    async with running(host):
        await eventually(lambda: link.is_open)
        host.submit(sent, HardwareId(KNOWN), results.append)
        await eventually(lambda: results)
    assert [result.outcome for result in results] == [outcome]
    assert bool(link.written) is (outcome in (Outcome.TIMED_OUT, Outcome.DONE))


async def test_a_command_waits_for_silence(bench, running):
    link, host = hosted(bench, gap_ms=40, expects_answer=False)
    results = []
    async with running(bench.intake, host):
        link.feed(b"t=1\n")
        await eventually(lambda: bench.routed)
        host.submit(command(), HardwareId(KNOWN), results.append)
        await eventually(lambda: not host._turns._queue)
        assert not link.written
        await eventually(lambda: results)
    assert link.written


async def test_a_late_answer_answers_nobody(bench, running):
    link, host = hosted(bench, timeout_ms=10)
    results = []
    async with running(host):
        await eventually(lambda: link.is_open)
        host.submit(command(), HardwareId(KNOWN), results.append)
        await eventually(lambda: results)
        link.feed(b"!c1\n")
        await eventually(lambda: host.state()["counters"]["late_answers"] == 1)
    assert len(results) == 1


async def test_a_command_to_a_host_that_does_not_run_is_refused(bench):
    _, host = hosted(bench)
    results = []
    host.submit(command(), HardwareId(KNOWN), results.append)
    assert results[0].outcome is Outcome.REFUSED


async def test_commands_still_waiting_at_the_end_are_answered_honestly(bench, running):
    link, host = hosted(bench, timeout_ms=5000)
    results = []
    async with running(host):
        await eventually(lambda: link.is_open)
        for number in range(MOST_QUEUED + 2):
            host.submit(command(number), HardwareId(KNOWN), results.append)
        await eventually(lambda: link.written)
    outcomes = {result.command_id: result.outcome for result in results}
    assert len(outcomes) == MOST_QUEUED + 2
    assert outcomes.pop("c0") is Outcome.UNKNOWN  # it was written: nobody knows
    assert set(outcomes.values()) == {Outcome.REFUSED}


async def test_a_lost_link_leaves_the_outcome_unknown(bench, running):
    link, host = hosted(bench)
    results = []
    async with running(host):
        await eventually(lambda: link.is_open)
        link.is_open = False
        host.submit(command(), HardwareId(KNOWN), results.append)
        await eventually(lambda: results)
    assert results[0].outcome is Outcome.UNKNOWN


async def test_a_driver_is_asked_what_to_ask_until_it_has_no_question(bench, running):
    link, host = hosted(bench, questions=3, timeout_ms=2000)
    link.on_write = lambda data: link.feed(b"t=1\n")
    async with running(bench.intake, host):
        await eventually(lambda: len(bench.routed) == 3)
    assert link.written == [b"?\n"] * 3


async def test_a_device_that_does_not_answer_is_asked_again_later(bench, running):
    link, host = hosted(bench, questions=2, timeout_ms=10)
    async with running(host):
        await eventually(lambda: host.state()["counters"]["silent_polls"] == 2)
    assert link.written


async def test_half_a_frame_does_not_survive_unplugging(bench, running):
    link, host = hosted(bench)
    async with running(bench.intake, host):
        link.feed(b"t=1")
        link.replug()
        link.feed(b"t=2\n")
        await eventually(lambda: bench.routed)
    assert values(bench) == [{"t": 2.0}]


async def test_a_codec_that_raises_ends_its_host_and_starts_fresh(bench, running):
    link, host = hosted(bench)
    async with running(bench.intake):
        async with running(host) as (task,):
            link.feed(b"t=1", b"\nboom\n")
            await eventually(task.done)
            assert isinstance(task.exception(), ExceptionGroup)
            assert link.readers == 0
        link.feed(b"t=2\n")
        async with running(host):
            await eventually(lambda: bench.routed)
    assert host.counts["started"] == 2
    assert values(bench)[-1] == {"t": 2.0}


async def test_devices_are_offline_when_their_host_ends(bench, running):
    link, host = hosted(bench)
    async with running(bench.intake):
        async with running(host):
            link.feed(b"t=1\n")
            await eventually(lambda: bench.retained.get("devices/port/availability") == b"online")
        assert bench.retained["devices/port/availability"] == b"offline"


async def test_devices_are_offline_soon_after_their_link(bench, running, monkeypatch):
    monkeypatch.setattr("gateway.bridge.host.LOOK_S", 0.01)
    link, host = hosted(bench)
    async with running(bench.intake, host):
        link.feed(b"t=1\n")
        await eventually(lambda: bench.retained.get("devices/port/availability") == b"online")
        link.is_open = False
        await eventually(lambda: bench.retained["devices/port/availability"] == b"offline")


async def test_wrong_settings_are_named_without_their_values(bench):
    with pytest.raises(ConfigError) as caught:
        hosted(bench, gap_ms="hunter2", secret=5)
    assert caught.value.code == "GW-1705"
    assert "gap_ms" in caught.value.text
    assert "hunter2" not in str(caught.value)


async def test_state_is_ready_for_json(bench):
    _, host = hosted(bench)
    assert json.loads(json.dumps(host.state()))["driver"] == "lines"
