"""The engines of the broker contract, each started in this process; what each can do stands in `capabilities`."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.broker.capabilities import ENGINES, Capability
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.mqtt.ports import CONSUMED, ROUTED, Authenticator, Publish, Session, Verdict
from gateway.store.mqtt_journal import JournalLimits
from tests.fakes.mqtt_broker import OPEN, PRINCIPALS, authenticate
from tests.fakes.mqtt_journal import JournalStore

QUICK = JournalLimits(ack_delay_s=0.005, loss_window_s=0.05)


class Engine:
    """A running engine: its port, and what code in the process may call."""

    name: str
    port: int
    broker: Any

    def __init__(self, folder: Path, login: Authenticator = authenticate) -> None:
        self.folder = folder
        self.login = login
        self.commands: list[tuple[str, bytes, str]] = []
        """(slug, payload, user) of each write to `devices/<slug>/set` that reached the process."""

    async def start(self) -> None:
        """Listen."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End tidily."""
        raise NotImplementedError

    async def cut(self) -> None:
        """End as a power cut does, and start again."""
        raise NotImplementedError


class OwnEngine(Engine):
    """This project's broker with its journal in a database."""

    name = "own"

    async def start(self) -> None:
        self._store = JournalStore(self.folder)
        await self._begin()

    async def _begin(self) -> None:
        kept = await self._store.open(QUICK)
        self.broker = Broker(self.login, version="test", journal=self._store.journal)
        self.broker.restore(kept, lambda key: PRINCIPALS.get(key.identity))
        self.broker.claim("devices/#", self._written)
        self._stack = contextlib.AsyncExitStack()
        listener = Listener(self.broker, ListenerSpec("test", ("127.0.0.1",), 0))
        await listener.open(self._stack)
        self.port = listener.addresses[0][1]
        self._running = asyncio.ensure_future(self.broker.run())  # noqa: TID251 - a test's own background

    async def _end(self) -> None:
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        while OPEN:
            await OPEN.pop().gone()
        await self._stack.aclose()

    async def stop(self) -> None:
        await self._end()
        await self._store.close()

    async def cut(self) -> None:
        await self._store.crash()
        await self._end()
        await self._begin()

    def _written(self, session: Session, publish: Publish) -> Verdict:
        if not publish.topic.endswith("/set"):
            return ROUTED
        slug = publish.topic.split("/")[1]
        self.commands.append((slug, publish.payload, session.principal.name))
        return CONSUMED


class AmqttInProcess(Engine):
    """amqtt as `mqtt.engine = "amqtt"` runs it."""

    name = "amqtt"

    async def start(self) -> None:
        from gateway.broker.engine_amqtt import AmqttEngine

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.broker = AmqttEngine(
            self.login,
            host="127.0.0.1",
            port=self.port,
            on_command=lambda *command: self.commands.append(command),
        )
        self._running = asyncio.ensure_future(self.broker.run())  # noqa: TID251 - a test's own background
        await asyncio.wait_for(self.broker.ready.wait(), 5)

    async def stop(self) -> None:
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        await asyncio.sleep(0.02)
        while OPEN:
            await OPEN.pop().gone()
        del self._running, self.broker
        gc.collect()  # amqtt forgets sockets; let them be found here, where the tests expect it

    async def cut(self) -> None:
        await self.stop()
        await self.start()


STARTED: dict[str, type[Engine]] = {"own": OwnEngine, "amqtt": AmqttInProcess}


def engines_with(capability: Capability) -> pytest.MarkDecorator:
    """Run a test on exactly the engines that promise a capability."""
    names = [name for name, has in ENGINES.items() if capability in has]
    return pytest.mark.parametrize("engine", names, indirect=True)


@contextlib.asynccontextmanager
async def started(
    name: str, folder: Path, login: Authenticator = authenticate
) -> AsyncIterator[Engine]:
    """Start an engine by name."""
    engine = STARTED[name](folder, login)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
