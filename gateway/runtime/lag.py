"""How late the event loop is: one timer a second that compares when it should have fired with when it did."""

import asyncio
from collections.abc import Callable

TICK_S = 1.0


class LagMeter:
    """Measures while started; `each_tick` rides along for what else wants a look once a second."""

    def __init__(
        self, *, tick_s: float = TICK_S, each_tick: Callable[[], object] | None = None
    ) -> None:
        self._tick_s = tick_s
        self._each_tick = each_tick
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self.last_s = 0.0
        self.worst_s = 0.0

    def start(self) -> None:
        """Begin to measure the running loop."""
        self._loop = asyncio.get_running_loop()
        self._arm()

    def stop(self) -> None:
        """End measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def lag_s(self) -> float:
        """Return the lag now: of the last tick, or of the one that is overdue."""
        overdue_s = self._loop.time() - self._due_s if self._loop is not None else 0.0
        return max(self.last_s, overdue_s)

    def _arm(self) -> None:
        assert self._loop is not None
        self._due_s = self._loop.time() + self._tick_s
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _tick(self) -> None:
        assert self._loop is not None
        self.last_s = max(0.0, self._loop.time() - self._due_s)
        self.worst_s = max(self.worst_s, self.last_s)
        self._arm()
        if self._each_tick is not None:
            self._each_tick()
