"""A real driver on a real terminal: readings arrive, a command is written and its answer comes back."""

import asyncio
import json
import os
import tty

from gateway.bridge.discovery import discover
from gateway.bridge.dispatch import Dispatcher
from gateway.bridge.host import DriverHost
from gateway.links.serial_open import PortSettings
from gateway.links.serial_port import SerialLink
from gateway.model import Command, Outcome
from tests.fakes.waiting import eventually
from tests.unit.bridge.fakes import NODE, OWNER, Bench


async def test_a_command_reaches_a_serial_device_and_its_answer_comes_back():
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    bench = Bench()
    link = SerialLink(PortSettings(name="garden", port=os.ttyname(slave)), bench.clock)
    host = DriverHost(link, discover().get("line-json"), {}, intake=bench.intake, clock=bench.clock)
    finished = []
    dispatcher = Dispatcher(
        bench.intake.devices,
        bench.clock,
        may=lambda actor, device, which: actor == OWNER,
        publish=bench._publish,
        finish=lambda command, result: finished.append(result),
        node=NODE,
    )
    dispatcher.attach(host)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(service.run()) for service in (bench.intake, host)]
    written = bytearray()

    def on_written():
        written.extend(os.read(master, 4096))

    loop.add_reader(master, on_written)
    try:
        await eventually(lambda: link.state()["state"] == "open")
        os.write(master, b'{"id":"pump","pressure":2')
        os.write(master, b".5}\n")
        await eventually(lambda: bench.routed)
        device = bench.intake.devices.by_slug["pump"].identity
        dispatcher.send(Command("c-1", device.uuid, OWNER, "set", {"valve": True}, 60_000))
        await eventually(lambda: written.endswith(b"\n"))
        asked = json.loads(written)
        assert asked == {"id": "pump", "cmd": 1, "set": {"valve": True}}
        os.write(master, b'{"id":"pump","cmd":1,"ok":true,"valve":true}\n')
        await eventually(lambda: finished)
    finally:
        loop.remove_reader(master)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        os.close(master)
        os.close(slave)
    assert (finished[0].outcome, finished[0].data) == (Outcome.DONE, {"valve": True})
    assert json.loads(bench.routed[0].body)["payload"] == {"pressure": 2.5}
