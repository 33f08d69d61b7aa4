"""Waiting for something to become true, with a deadline instead of a guess."""

import asyncio
import time
from collections.abc import Callable


async def eventually(claim: Callable[[], object], *, seconds: float = 5.0, what: str = "") -> None:
    """Return once `claim()` is truthy; fails after `seconds`, naming `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or claim}"
        await asyncio.sleep(0.005)


def soon(claim: Callable[[], object], *, seconds: float = 5.0, what: str = "") -> None:
    """Wait like `eventually`, for tests without an event loop."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or claim}"
        time.sleep(0.01)
