"""Log lines for one reader at a time, behind a bounded queue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

MOST_WAITING = 500


class Lines(Protocol):
    """Where lines come from."""

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` for each line; returns what ends it."""
        ...


class LogStream:
    """Yields lines as they are logged; a reader that falls behind misses the oldest."""

    def __init__(self, logs: Lines, encode: Callable[[str], bytes]) -> None:
        self._logs = logs
        self._encode = encode

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield until the reader goes."""
        queue: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)

        def note(line: str) -> None:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(line)

        end = self._logs.subscribe(note)
        try:
            while True:
                yield self._encode(await queue.get())
        finally:
            end()
