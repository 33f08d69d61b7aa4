"""Where clients come in: TCP and TLS sockets on any number of addresses, each a service of its own."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from dataclasses import dataclass

from gateway.broker.server import Broker
from gateway.errors import ConfigError

log = logging.getLogger(__name__)

BACKLOG = 1024  # a power cut ends for every device at once
HANDSHAKE_S = 10.0


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One listener: a name for logs, addresses, a port (0: any free one), TLS or not."""

    name: str
    hosts: tuple[str, ...]
    port: int
    tls: ssl.SSLContext | None = None
    required: bool = False


class Listener:
    """A service that accepts clients for a broker."""

    def __init__(self, broker: Broker, spec: ListenerSpec) -> None:
        self.name = f"mqtt-{spec.name}"
        self.required = spec.required
        self.ready = asyncio.Event()
        self.addresses: list[tuple[str, int]] = []
        self._broker = broker
        self._spec = spec

    async def run(self) -> None:
        """Listen until cancelled; raises ConfigError naming address and port when that can't be."""
        async with contextlib.AsyncExitStack() as stack:
            await self.open(stack)
            await asyncio.Event().wait()

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Bind every address; `stack` closes them."""
        port = self._spec.port
        for host in self._spec.hosts:
            server = await self._bind(host, port)
            stack.callback(server.close)
            bound = server.sockets[0].getsockname()
            self.addresses.append((bound[0], bound[1]))
            port = port or bound[1]  # one port on all addresses, also when any would do
        stack.callback(self._closed)
        self.ready.set()
        log.info("listening", extra={"listener": self.name, "addresses": self.addresses})

    async def _bind(self, host: str, port: int) -> asyncio.Server:
        spec, loop = self._spec, asyncio.get_running_loop()
        try:
            return await loop.create_server(
                lambda: self._broker.accept(spec.name),
                host,
                port,
                backlog=BACKLOG,
                ssl=spec.tls,
                ssl_handshake_timeout=HANDSHAKE_S if spec.tls else None,
            )
        except (OSError, socket.gaierror) as error:
            taken = error.errno == errno.EADDRINUSE
            raise ConfigError(
                f"MQTT listener {spec.name!r} cannot listen on {host}:{port}: {error.strerror}",
                code="GW-1103",
                hint=f"see who holds it: ss -ltnp 'sport = :{port}'"
                if taken
                else f"give listener {spec.name!r} an address of this machine",
            ) from error

    def _closed(self) -> None:
        self.ready.clear()
        self.addresses.clear()
