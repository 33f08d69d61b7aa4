"""The one service of the mesh: runs what synchronous code cannot wait for, in order where order matters.

Handlers of the broker are synchronous and may start no task.  They put a coroutine function here under a
key; what has one key runs one after the other (a client's update, then its whoami), keys run side by side.
"""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError

log = logging.getLogger(__name__)

Task = Callable[[], Awaitable[None]]

LANES = 8  # so many jobs wait for the disk side by side; the committer groups their writes
MOST_WAITING = 256  # in one lane; whoever comes later is asked to wait
FAULTS = (
    GatewayError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError, RecursionError,
)  # fmt: skip
"""What a job can raise; one client's request must not cost the others this service, and then the node."""


class Work:
    """Service: bounded lanes of jobs."""

    name = "mesh"
    required = True

    def __init__(self, *, lanes: int = LANES, most_waiting: int = MOST_WAITING) -> None:
        self._lanes: list[asyncio.Queue[Task]] = [asyncio.Queue(most_waiting) for _ in range(lanes)]
        self._on_room: list[Callable[[], None]] = []
        self.failed = 0

    def submit(self, key: str, task: Task) -> bool:
        """Run a job after the earlier ones of `key`; False when its lane is full: try again at `on_room`."""
        lane = self._lanes[zlib.crc32(key.encode()) % len(self._lanes)]
        if lane.full():
            return False
        lane.put_nowait(task)
        return True

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call back once, when a lane that was full has room again."""
        if callback not in self._on_room:
            self._on_room.append(callback)

    async def run(self) -> None:
        """Run jobs until cancelled; one that fails is logged, and the next one runs."""
        async with asyncio.TaskGroup() as group:
            for index, lane in enumerate(self._lanes):
                group.create_task(self._serve(lane), name=f"mesh-{index}")

    async def _serve(self, lane: asyncio.Queue[Task]) -> None:
        while True:
            task = await lane.get()
            try:
                await task()
            except FAULTS:
                self.failed += 1
                log.exception("job failed")
            if self._on_room and lane.qsize() <= lane.maxsize // 2:
                callbacks, self._on_room = self._on_room, []
                for callback in callbacks:
                    callback()
