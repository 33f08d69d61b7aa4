"""The line: no parent, a parent, another one, and a cut that outlives both."""

import asyncio
from typing import Any

import pytest

from gateway.app.line import Line
from gateway.errors import BadTokenError
from tests.fakes.waiting import eventually


class Wire:
    """An uplink that does nothing but say so."""

    def __init__(self, parent: str, fault: Exception | None = None) -> None:
        self.parent, self.fault = parent, fault
        self.is_cut = self.is_running = False

    async def run(self) -> None:
        if self.fault:
            raise self.fault
        self.is_running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_running = False

    def cut(self, is_cut: bool) -> None:
        self.is_cut = is_cut

    def state(self) -> dict[str, Any]:
        return {"state": "cut" if self.is_cut else "online", "parent": self.parent}


async def test_without_a_parent_the_line_waits_and_says_none():
    line = Line(lambda: None)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(line.run())
        await asyncio.sleep(0.01)
        assert line.state()["state"] == "none"
        task.cancel()


async def test_a_parent_joined_at_run_time_is_used_and_one_left_is_let_go():
    wires = [None, Wire("one:8883"), None]
    made = iter(wires)
    line = Line(lambda: next(made))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(line.run())
        await asyncio.sleep(0.01)
        line.parent_changed()
        await eventually(lambda: line.state()["state"] == "online")
        await eventually(lambda: wires[1].is_running)
        line.parent_changed()
        await eventually(lambda: line.state()["state"] == "none")
        assert not wires[1].is_running
        task.cancel()


async def test_a_cut_line_stays_cut_when_the_parent_changes():
    wires = [Wire("one"), Wire("two")]
    made = iter(wires)
    line = Line(lambda: next(made))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(line.run())
        await eventually(lambda: wires[0].is_running)
        line.cut(True)
        assert wires[0].is_cut
        line.parent_changed()
        await eventually(lambda: wires[1].is_running)
        assert wires[1].is_cut
        task.cancel()


async def test_what_the_uplink_raises_reaches_the_supervisor():
    fault = BadTokenError("revoked", code="GW-1620", hint="join again")
    line = Line(lambda: Wire("one", fault))
    with pytest.raises(ExceptionGroup) as caught:
        await line.run()
    assert caught.group_contains(BadTokenError)
