"""Notice serial ports that are plugged in or pulled out, and say what to do next: no udev, two directory reads a look."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.links.ports import Links, Places, Port, describe, snapshot

LOOK_EVERY_S = 2.0  # a newcomer waits at most this long, and the settling, for a word
SETTLE_S = 0.4  # udev writes by-id and by-path some time after the kernel made the device file


@dataclass(frozen=True, slots=True)
class PortEvent:
    """A port came or went."""

    kind: Literal["plugged", "unplugged"]
    device: str
    stable_name: str
    description: str
    suggestion: str  # lines for gateway.toml and the command that tries the port; "" when unplugged

    @property
    def sentence(self) -> str:
        """Return what to print."""
        return f"serial port {self.kind}: {self.device} ({self.description}), known as {self.stable_name}"


async def watch(
    places: Places | None = None, *, every_s: float = LOOK_EVERY_S, settle_s: float = SETTLE_S
) -> AsyncIterator[PortEvent]:
    """Yield what changes from now on, for ever; what is plugged in already is not an event."""
    where = places if places is not None else Places()
    known = snapshot(where)
    ports: dict[str, Port] = {}
    if known:
        ports = await asyncio.to_thread(_describe_all, known, where)
    while True:
        await asyncio.sleep(every_s)
        now = snapshot(where)
        if now == known:
            continue
        if now.keys() - known.keys():
            await asyncio.sleep(settle_s)
            now = snapshot(where)
        for device in _gone(known, now):
            yield _event("unplugged", ports.pop(device))
        came = {device: links for device, links in now.items() if device not in ports}
        fresh = await asyncio.to_thread(_describe_all, came, where)
        for device, port in fresh.items():
            ports[device] = port
            yield _event("plugged", port)
        known = now


def _gone(known: Mapping[str, Links], now: Mapping[str, Links]) -> list[str]:
    """Return devices that are no more, or whose number now belongs to something else."""
    return [
        device
        for device, links in known.items()
        if device not in now or (links.by_id and links.by_id != now[device].by_id)
    ]


def _describe_all(links: Mapping[str, Links], places: Places) -> dict[str, Port]:
    return {device: describe(device, links[device], places) for device in sorted(links)}


def _event(kind: Literal["plugged", "unplugged"], port: Port) -> PortEvent:
    advice = port.suggestion if kind == "plugged" else ""
    return PortEvent(kind, port.device, port.stable_name, port.description, advice)
