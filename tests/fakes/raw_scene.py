"""A real broker and listener on a free port, and the raw clients that a test opens on it.

Who may log in stands in `mqtt_broker.PRINCIPALS`: `admin` may read and write every plain topic.
"""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from gateway.broker.limits import Limits
from gateway.broker.server import Broker
from tests.fakes.mqtt_broker import running
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
        broker.now = lambda: time.monotonic() + self._ahead_s

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
