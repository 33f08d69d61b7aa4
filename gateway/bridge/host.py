"""One driver on one serial-like link: feeds its codec, gives it turns, restarts it alone."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from gateway.bridge.devices import Source
from gateway.bridge.discovery import settings_of
from gateway.bridge.intake import Intake
from gateway.bridge.turns import Turns
from gateway.driver.contract import Advert, Codec, Driver
from gateway.links.link import Link, LinkState
from gateway.model import Clock, Command, CommandResult, Event, HardwareId, Reading, Stamp

Chunk = tuple[bytes | Advert, Stamp]

LOOK_S = 1.0  # how soon devices are offline after their link is


class DriverHost:
    """Service of one link: one task reads, one gives turns. A codec that raises ends this host alone."""

    required = False

    def __init__(
        self,
        link: Link,
        driver: Driver,
        settings: Mapping[str, Any],
        *,
        intake: Intake,
        clock: Clock,
        is_demo: bool = False,
    ) -> None:
        """Check the settings; raises ConfigError (GW-1705)."""
        self.name = f"link {link.name}"
        self.source = Source(driver.name, link.name, link.origin, is_demo)
        self._link = link
        self._driver = driver
        self._settings = settings_of(driver, settings)
        self._intake = intake
        self._turns = Turns(link, clock)
        self._codec: Codec[Any, Any] = self._fresh()
        self._opened: int | None = (
            None  # how often the link had been opened when this codec was fed
        )
        self.counts = {"started": 0, "chunks": 0}

    async def run(self) -> None:
        """Listen and speak until cancelled."""
        self.counts["started"] += 1
        self._codec, self._opened = self._fresh(), None
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(self._turns.run(self._current), name=f"{self.name} turns"),
                    group.create_task(
                        watch_link(self._link, self._intake), name=f"{self.name} watch"
                    ),
                ]
                await self._listen()
                for task in beside:
                    task.cancel()
        finally:
            self._intake.link_lost(self._link.name)

    def submit(
        self, command: Command, hardware_id: HardwareId, done: Callable[[CommandResult], None]
    ) -> None:
        """Write a command when its turn comes; `done` is called exactly once, now or later."""
        self._turns.submit(command, hardware_id, done)

    def state(self) -> dict[str, object]:
        """Return how link, driver and turns are, ready for JSON."""
        count = self._driver.counters
        return {
            "name": self._link.name,
            "driver": self._driver.name,
            "link": self._link.state(),
            "codec": {} if count is None else dict(count(self._codec)),
            "counters": self.counts | self._turns.counts,
        }

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        turns, counts = self._turns, self.counts
        async with closing(self._link.chunks()) as chunks:
            async for item, at in chunks:
                counts["chunks"] += 1
                said = self._current().feed(item, at)
                turns.heard(loop.time(), is_answer=bool(said))
                if said:
                    self._heard(said)

    def _current(self) -> Codec[Any, Any]:
        """Return the codec: a fresh one once the link was reopened.

        Half a frame from before the unplugging must not be joined to half of a new one.
        """
        counters = self._link.state().get("counters")
        opened = counters.get("opened") if isinstance(counters, Mapping) else None
        if opened != self._opened:
            if self._opened:
                self._codec = self._fresh()
            self._opened = opened
        return self._codec

    def _heard(self, said: Sequence[Reading | Event | CommandResult]) -> None:
        observed = [item for item in said if not isinstance(item, CommandResult)]
        if len(observed) != len(said):
            for item in said:
                if isinstance(item, CommandResult):
                    self._turns.answer(item)
        if observed:
            self._intake.accept(observed, self.source)

    def _fresh(self) -> Codec[Any, Any]:
        return self._driver.open(self._settings, self._link.origin)


async def watch_link(link: Link, intake: Intake) -> None:
    """Take a link's devices offline soon after the link itself is."""
    was_open = True
    while True:
        await asyncio.sleep(LOOK_S)
        is_open = link.state().get("state", LinkState.OPEN) == LinkState.OPEN
        if was_open and not is_open:
            intake.link_lost(link.name)
        was_open = is_open


@contextlib.asynccontextmanager
async def closing(chunks: AsyncIterator[Chunk]) -> AsyncIterator[AsyncIterator[Chunk]]:
    """Close the link when its consumer fails, not when somebody collects garbage: a restart opens it again."""
    try:
        yield chunks
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
