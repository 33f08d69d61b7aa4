"""A real broker and listener on a free port, and the raw clients that a test opens on it.

Who may log in stands in `mqtt_broker.PRINCIPALS`: `admin` may read and write every plain topic.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from gateway.broker.limits import Limits
from gateway.broker.server import Broker
from gateway.store.mqtt_journal import JournalLimits
from tests.fakes.mqtt_broker import PRINCIPALS, running
from tests.fakes.mqtt_journal import JournalStore
from tests.fakes.raw_mqtt import RawMqtt
from tests.fakes.waiting import eventually


class Scene:
    """A broker, its port, its clients, and a clock that can be told to jump."""

    def __init__(self, broker: Broker, port: int, version: int = 4) -> None:
        self.broker = broker
        self.port = port
        self.version = version
        self.clients: list[RawMqtt] = []
        self._ahead_s = 0.0
        broker.now = self.now

    def now(self) -> float:
        """Return the time on the broker's clock."""
        return time.monotonic() + self._ahead_s

    async def socket(self, version: int | None = None, *, slow: bool = False) -> RawMqtt:
        """Open a socket without a word."""
        client = await RawMqtt.open(self.port, version or self.version, slow=slow)
        self.clients.append(client)
        return client

    async def client(
        self,
        client_id: str = "c",
        *,
        version: int | None = None,
        slow: bool = False,
        **options: Any,
    ) -> RawMqtt:
        """Open a socket and connect (options of `raw_packets.connect`)."""
        client = await self.socket(version, slow=slow)
        await client.connect(client_id, **options)
        return client

    async def cut(self, client: RawMqtt) -> None:
        """Cut a client's connection, and wait until the broker knows."""
        before = len(self.broker.connections)
        await client.cut()
        await eventually(
            lambda: len(self.broker.connections) < before, what="the end of a connection"
        )

    def pass_s(self, seconds: float) -> None:
        """Let time pass on the broker's clock, and have it look."""
        self._ahead_s += seconds
        self.broker.sweep(self.broker.now())

    async def close(self) -> None:
        """Close every socket."""
        for client in self.clients:
            await client.gone()


@contextlib.asynccontextmanager
async def scene(limits: Limits | None = None, version: int = 4) -> AsyncIterator[Scene]:
    """Run a broker that keeps everything in memory."""
    async with running(limits) as (broker, port):
        made = Scene(broker, port, version)
        try:
            yield made
        finally:
            await made.close()


PROMPT = JournalLimits(ack_delay_s=0, loss_window_s=0.02)
"""Who waits for the disk waits for one commit."""


class DurableScene(Scene):
    """A broker with the SQLite journal, which can be stopped and started again."""

    def __init__(self, folder: Path, limits: Limits | None, version: int) -> None:
        self._store = JournalStore(folder)
        self._limits = limits
        self._stack = contextlib.AsyncExitStack()
        self._version = version
        self._ahead_s = 0.0

    async def start(self) -> None:
        """Start as a process does: what the disk holds, then the listener."""
        ahead_s = self._ahead_s
        self._store.now = self.now  # type: ignore[assignment]
        kept = await self._store.open(PROMPT)
        journal = self._store.journal
        broker, port = await self._stack.enter_async_context(running(self._limits, journal=journal))
        super().__init__(broker, port, self._version)
        self._ahead_s = ahead_s
        broker.restore(kept, lambda key: PRINCIPALS.get(key.identity))

    async def restart(self, *, is_crash: bool) -> None:
        """Stop, or crash, and start again; every client is cut."""
        if is_crash:
            await self._store.crash()
        await self.stop()
        if not is_crash:
            await self._store.close()
        self._stack = contextlib.AsyncExitStack()
        await self.start()

    async def stop(self) -> None:
        """Close clients, listener and broker."""
        await self.close()
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def durable_scene(
    folder: Path, limits: Limits | None = None, version: int = 4
) -> AsyncIterator[DurableScene]:
    """Run a broker that keeps what it promises in a database below `folder`."""
    made = DurableScene(folder, limits, version)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        await made._store.close()
