"""SIGTERM and SIGINT ask the node to stop; a second one does not wait."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_on_signals(
    stop: asyncio.Event, *, exit_hard: Callable[[int], None] = os._exit
) -> Iterator[None]:
    """Within the block, the first signal sets `stop`, the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def ended(number: signal.Signals) -> None:
        if stop.is_set():
            exit_hard(128 + number)
            return
        log.info("stopping", extra={"signal": number.name})
        stop.set()

    for number in ENDING:
        loop.add_signal_handler(number, ended, number)
    try:
        yield
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
