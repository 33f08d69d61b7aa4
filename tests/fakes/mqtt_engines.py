"""The engines of the broker contract: what each can do, and how to start one."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fakes.mqtt_broker import authenticate, running

CAPABILITIES = {
    "own": frozenset({"core", "delivery_acl", "defer_ack", "mesh"}),
    "amqtt": frozenset({"core"}),
}
"""Engine -> what it promises; the README's table says the same."""


@dataclass
class Engine:
    """A running engine: its port, and what code in the process may call."""

    name: str
    port: int
    broker: Any


def engines_with(capability: str) -> pytest.MarkDecorator:
    """Run a test on each engine that has a capability."""
    names = [name for name, has in CAPABILITIES.items() if capability in has]
    return pytest.mark.parametrize("engine", names, indirect=True)


@contextlib.asynccontextmanager
async def started(name: str) -> AsyncIterator[Engine]:
    """Start an engine by name."""
    if name == "own":
        async with running() as (broker, port):
            yield Engine(name, port, broker)
        return
    from gateway.broker.engine_amqtt import AmqttEngine

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = AmqttEngine(authenticate, host="127.0.0.1", port=port)
    task = asyncio.ensure_future(engine.run())  # noqa: TID251 - a test's own background
    try:
        await asyncio.wait_for(engine.ready.wait(), 5)
        yield Engine(name, port, engine)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)
        del task, engine
        gc.collect()  # amqtt forgets sockets; let them be found here, where the tests expect it
