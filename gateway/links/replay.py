"""A capture played back as if the device were there: for the demo, for tests, and for bug reports."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.driver.contract import Advert
from gateway.links.link import Health, LinkState
from gateway.model.clock import Clock, Stamp

MOST_WRITES = 256  # of what was written, for tests and the page; the oldest goes
MOST_ANSWERS = 64  # echoes that wait for their turn
COUNTERS = ("played", "rounds", "written", "echoed")


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """How to play a capture."""

    name: str
    origin: str  # what the hardware ids begin with, such as serial:demo-greenhouse
    period_ms: int  # the device's documented period: captures carry no times
    is_endless: bool = True  # else the link falls silent after the last record
    echo: Literal["none", "line-json"] = "none"  # whether commands that are written get an answer


class Replay:
    """Matches `Link`; `records` are chunks of bytes, or adverts."""

    def __init__(
        self, records: Iterable[bytes | Advert], settings: ReplaySettings, clock: Clock
    ) -> None:
        self.name = settings.name
        self.origin = settings.origin
        self._records: Sequence[bytes | Advert] = tuple(records)
        self._settings = settings
        self._clock = clock
        self._health = Health(settings.name, clock, COUNTERS)
        self._answers: list[bytes] = []
        self._wake = asyncio.Event()
        self.written: list[bytes] = []

    async def chunks(self) -> AsyncIterator[tuple[bytes | Advert, Stamp]]:
        """Yield one record a period, and answers to commands at once; never ends."""
        self._health.become(LinkState.OPEN)
        while True:
            for record in self._records:
                self._health.count("played")
                yield record, self._clock.stamp()
                async for answer in self._rest():
                    yield answer
            self._health.count("rounds")
            if not (self._settings.is_endless and self._records):
                break
        while True:
            async for answer in self._rest():
                yield answer

    async def _rest(self) -> AsyncIterator[tuple[bytes, Stamp]]:
        """Let one period pass, answering what is written meanwhile."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.period_ms / 1000
        timer = loop.call_at(end, self._wake.set)
        try:
            while True:
                while self._answers:
                    yield self._answers.pop(0), self._clock.stamp()
                if loop.time() >= end:
                    return
                await self._wake.wait()
                self._wake.clear()
        finally:
            timer.cancel()

    async def write(self, data: bytes) -> None:
        """Note what was written; answer it where the settings say so."""
        self.written = [*self.written[1 - MOST_WRITES :], data]
        self._health.count("written", len(data))
        if self._settings.echo == "line-json" and len(self._answers) < MOST_ANSWERS:
            answers = [answer for line in data.splitlines() if (answer := _answer(line))]
            self._answers += answers
            self._health.count("echoed", len(answers))
            self._wake.set()

    def state(self) -> dict[str, object]:
        """Return how playing goes."""
        return self._health.as_dict() | {"records": len(self._records)}


def _answer(line: bytes) -> bytes:
    """Return what an obedient line-json device says to a numbered command: done, and the values as they are now."""
    try:
        command: Any = json.loads(line)
    except ValueError:
        return b""
    if not isinstance(command, dict) or "cmd" not in command:
        return b""
    values = command.get("set")
    answer = {"cmd": command["cmd"], "ok": True} | (values if isinstance(values, dict) else {})
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"
