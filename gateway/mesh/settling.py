"""Waiting until everything up to a number is durable: for faces that answer each request by itself."""

import asyncio
from collections import deque

MOST_WAITING = 1000  # requests; the disk is then far behind, and more are told to come again


class Settling:
    """Knows how far things have settled; numbers come in order, so those who wait stand in a queue."""

    def __init__(self) -> None:
        self._through = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def settled(self, through: int) -> None:
        """Note that everything up to a number is durable (the spool calls this)."""
        self._through = max(self._through, through)
        while self._waiting and self._waiting[0][0] <= self._through:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    async def reached(self, number: int) -> bool:
        """Return True once `number` has settled (0: at once), False where too many wait already."""
        if number <= self._through:
            return True
        if len(self._waiting) >= MOST_WAITING:
            return False
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((number, future))
        await future
        return True
