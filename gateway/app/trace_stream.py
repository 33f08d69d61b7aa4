"""A trace for one reader: a bounded queue between the broker, which never waits, and a terminal, which may."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.app.live import encoded
from gateway.broker.tracing import Traced, Wanted

if TYPE_CHECKING:
    from gateway.broker.server import Broker

MOST_WAITING = 1000  # lines; then the reader loses some, and is told how many
AT_ONCE = 100  # lines in one write
PAUSE_S = (
    0.05  # between two: 2,000 lines a second are more than anybody reads, and 4 % of a core here
)
AWAKE_S = 15.0  # a comment this often shows that the stream lives


class TraceStream:
    """Matches `broker.tracing.Watcher`."""

    def __init__(self, broker: "Broker", wanted: Wanted) -> None:
        self.wanted = wanted
        self._broker = broker
        self._waiting: list[Traced] = []
        self._lost = 0
        self._news = asyncio.Event()

    def has_room(self) -> bool:
        """Return whether one more line is taken; a False counts a lost line."""
        if len(self._waiting) < MOST_WAITING:
            return True
        self._lost += 1
        return False

    def tell(self, line: Traced) -> None:
        """Take a line."""
        self._waiting.append(line)
        self._news.set()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield server-sent events (`line`, and `lost` with a number) until the reader goes."""
        tracing = self._broker.tracing
        tracing.start(self, self._broker.connections)
        try:
            yield b": tracing\n\n"
            while True:
                try:
                    async with asyncio.timeout(AWAKE_S):
                        await self._news.wait()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                yield self._taken()
                await asyncio.sleep(PAUSE_S)
        finally:
            tracing.stop(self)

    def _taken(self) -> bytes:
        taken, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
        events = [encoded("line", asdict(line)) for line in taken]
        if not self._waiting:
            self._news.clear()
            if self._lost:
                events.append(encoded("lost", self._lost))
                self._lost = 0
        return b"".join(events)
