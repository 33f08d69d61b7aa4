"""Ports that come and go are named, once, with what to do next."""

import asyncio
from pathlib import Path

import pytest

from gateway.links.port_watch import PortEvent, watch
from gateway.links.ports import Places
from tests.fakes.pty_port import PtyPort
from tests.fakes.waiting import eventually


@pytest.fixture
def where(tmp_path: Path) -> Places:
    return Places(tmp_path / "by-id", tmp_path / "by-path", tmp_path / "dev", (), list)


class Watching:
    def __init__(self, where: Places) -> None:
        self.events: list[PortEvent] = []
        self._where = where

    async def __aenter__(self) -> list[PortEvent]:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._task = self._group.create_task(self._watch())
        await asyncio.sleep(0.02)
        return self.events

    async def _watch(self) -> None:
        async for event in watch(self._where, every_s=0.01, settle_s=0.01):
            self.events.append(event)

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await self._group.__aexit__(None, None, None)


async def test_a_port_that_is_plugged_in_is_named_with_what_to_add(where: Places) -> None:
    port = PtyPort(where.by_id)
    async with Watching(where) as events:
        device = port.plug()
        await eventually(lambda: events)
    (event,) = events
    assert (event.kind, event.device, event.stable_name) == ("plugged", device, str(port.link))
    assert f'port = "{port.link}"' in event.suggestion
    assert f"gateway try {port.link}" in event.suggestion
    assert device in event.sentence
    port.unplug()


async def test_a_port_that_is_pulled_out_is_named_once(where: Places) -> None:
    port = PtyPort(where.by_id)
    device = port.plug()
    async with Watching(where) as events:
        await asyncio.sleep(0.03)
        assert events == []
        port.unplug()
        await eventually(lambda: events)
        await asyncio.sleep(0.03)
    (event,) = events
    assert (event.kind, event.device, event.suggestion) == ("unplugged", device, "")


async def test_a_replug_under_another_number_is_an_end_and_a_beginning(where: Places) -> None:
    port = PtyPort(where.by_id)
    port.plug()
    async with Watching(where) as events:
        await asyncio.sleep(0.03)
        other = PtyPort(where.by_id, port.link.name)
        other.plug()  # the same identity under a second number, before the first look
        await eventually(lambda: len(events) == 2)
    assert [event.kind for event in events] == ["unplugged", "plugged"]
    assert events[1].device == other.device
    port.unplug()
    other.unplug()


async def test_two_devices_that_swap_numbers_are_told_apart(where: Places) -> None:
    first, second = PtyPort(where.by_id, "usb-A"), PtyPort(where.by_id, "usb-B")
    devices = first.plug(), second.plug()
    async with Watching(where) as events:
        await asyncio.sleep(0.03)
        for link, device in zip((second.link, first.link), devices, strict=True):
            link.unlink()
            link.symlink_to(device)
        await eventually(lambda: len(events) >= 4)
    assert {(event.kind, event.device) for event in events} == {
        (kind, device) for kind in ("plugged", "unplugged") for device in devices
    }
    first.unplug()
    second.unplug()
