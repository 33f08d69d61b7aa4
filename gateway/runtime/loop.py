"""Which event loop runs the node: asyncio's own, or uvloop where it is installed (the extra `fast`)."""

import asyncio
import importlib.util
from collections.abc import Callable

from gateway.errors import ConfigError

AUTO, OWN, UVLOOP = "auto", "asyncio", "uvloop"

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def loop_factory(choice: str) -> LoopFactory | None:
    """Return what makes the loop, None for asyncio's own; raises ConfigError GW-1404 when uvloop is missing.

    `choice` is one of "auto", "asyncio", "uvloop".
    """
    is_there = importlib.util.find_spec(UVLOOP) is not None
    if choice == UVLOOP and not is_there:
        raise ConfigError(
            'node.event_loop is "uvloop", which is not installed',
            code="GW-1404",
            hint='install it (pip install "meshblu-gateway[fast]"), or set event_loop = "auto"',
        )
    if choice == OWN or not is_there:
        return None
    import uvloop  # noqa: PLC0415 - 3 MB that a node without it does not pay

    return uvloop.new_event_loop
