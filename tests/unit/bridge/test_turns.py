"""The line is given to commands before questions."""

import asyncio

from gateway.bridge.turns import Turns
from gateway.driver.contract import Request
from gateway.model import Command, DeviceUuid, HardwareId, Outcome
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import eventually
from tests.unit.bridge.fakes import FakeLink


class Bus:
    """Asks without end; has two devices."""

    def feed(self, item, at):
        return []

    def poll(self):
        return Request(b"?", timeout_ms=20, expects_answer=True)

    def encode(self, command):
        raise AssertionError("a bus is told which device")

    def encode_to(self, hardware_id, command):
        return Request(hardware_id.encode(), command_id=command.id)


async def test_a_command_goes_between_questions_and_names_its_device():
    clock = FakeClock()
    link = FakeLink(clock)
    link.is_open = True
    turns = Turns(link, clock)
    results = []
    task = asyncio.get_running_loop().create_task(turns.run(Bus))
    await eventually(lambda: link.written)
    for number in (1, 2):
        command = Command(f"c{number}", DeviceUuid("d"), DeviceUuid("a"), "set", {}, 9_000)
        turns.submit(command, HardwareId(f"bus/{number}"), results.append)
    await eventually(lambda: len(results) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert {result.outcome for result in results} == {Outcome.DONE}
    assert link.written[:3] == [b"?", b"bus/1", b"bus/2"]
