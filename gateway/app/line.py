"""The line to the parent as the node sees it: there may be none, it may be cut, joined anew or left at run time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol


class Uplink(Protocol):
    """A connection to one parent, and what it is doing."""

    async def run(self) -> None:
        """Keep the line until cancelled."""
        ...

    def cut(self, is_cut: bool) -> None:  # noqa: FBT001 - a switch
        """Cut the line on purpose, or mend it."""
        ...

    def state(self) -> dict[str, Any]:
        """Return state, parent, since_ms, reason and code."""
        ...


NO_PARENT: dict[str, Any] = {"state": "none", "parent": "", "since_ms": None, "reason": ""}


class Line:
    """Service: runs the uplink to the present parent; waits while there is none."""

    name = "uplink"
    required = False

    def __init__(self, make: Callable[[], Uplink | None]) -> None:
        """`make()` returns an uplink to the parent that the state directory names, or None."""
        self._make = make
        self._uplink: Uplink | None = None
        self._changed = asyncio.Event()
        self._is_cut = False

    @property
    def uplink(self) -> Uplink | None:
        """Return the running uplink."""
        return self._uplink

    def state(self) -> dict[str, Any]:
        """Return how the line is."""
        return dict(NO_PARENT) if self._uplink is None else self._uplink.state()

    def cut(self, is_cut: bool) -> None:  # noqa: FBT001 - a switch
        """Cut or mend the line."""
        self._is_cut = is_cut
        if self._uplink is not None:
            self._uplink.cut(is_cut)

    def parent_changed(self) -> None:
        """Look at the state directory again: a parent was joined or left."""
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled; what the uplink raises ends it, for the supervisor to judge."""
        while True:
            self._changed.clear()
            self._uplink = self._make()
            if self._uplink is None:
                await self._changed.wait()
                continue
            self._uplink.cut(self._is_cut)
            await first_of(self._uplink.run, self._changed.wait)


async def first_of(
    run: Callable[[], Awaitable[None]], changed: Callable[[], Awaitable[Any]]
) -> None:
    """Run both until one returns or raises, and end the other before returning."""

    async def until_changed() -> None:
        await changed()
        raise _ChangedError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_forever(run), name="uplink-run")
            group.create_task(until_changed(), name="uplink-changed")
    except* _ChangedError:
        pass


async def _forever(run: Callable[[], Awaitable[None]]) -> None:
    await run()
    raise RuntimeError("an uplink ran to its end, which it never does")


class _ChangedError(Exception):
    """Another parent, or none: not an error of anybody's."""
