"""Where clients come in over the network: TCP and TLS sockets on any number of addresses, each a service of its own."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from gateway.broker.behind_proxy import BehindProxy, Networks
from gateway.broker.entrance import Entrance
from gateway.broker.handshakes import FailedHandshakes
from gateway.broker.introduction import Introduction, Known
from gateway.broker.peer_certificate import certificate_of
from gateway.broker.server import Broker
from gateway.broker.websocket import WebSocket, WebSocketRules
from gateway.errors import ConfigError

log = logging.getLogger(__name__)

BACKLOG = 1024  # a power cut ends for every device at once

Secure = Callable[[], ssl.SSLContext]
"""Makes a TLS context when a listener opens, so that a certificate mended meanwhile is found; raises ConfigError."""


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One listener: a name for logs, addresses, a port (0: any free one), and what stands before MQTT on it."""

    name: str
    hosts: tuple[str, ...]
    port: int
    tls: ssl.SSLContext | Secure | None = None
    required: bool = False
    entrance: Entrance | None = None  # who may log in; None: everybody
    websocket: WebSocketRules | None = None
    proxies: Networks | None = None  # the PROXY protocol is expected, from these alone
    asks_certificates: bool = False  # of clients: in TLS, or of the proxy where TLS ends there
    is_for_children: bool = True  # a child speaks plain MQTT and has no certificate


class Listener:
    """A service that accepts clients for a broker."""

    def __init__(self, broker: Broker, spec: ListenerSpec) -> None:
        self.name = f"mqtt-{spec.name}"
        self.required = spec.required
        self.ready = asyncio.Event()
        self.addresses: list[tuple[str, int]] = []
        self._broker = broker
        self._spec = spec
        self.failed_handshakes = FailedHandshakes(self.name)
        self._entrance = spec.entrance or Entrance(spec.name)

    async def run(self) -> None:
        """Listen until cancelled; raises ConfigError naming address and port when that can't be."""
        async with contextlib.AsyncExitStack() as stack:
            await self.open(stack)
            await asyncio.Event().wait()

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        """Bind every address; `stack` closes them."""
        tls = self._spec.tls
        context = tls() if callable(tls) else tls
        if context is not None:
            self.failed_handshakes.watch(context)
        port = self._spec.port
        for host in self._spec.hosts:
            bound = await self._bind(host, port, context, stack)
            self.addresses.append(bound)
            port = port or bound[1]  # one port on all addresses, also when any would do
        stack.callback(self._closed)
        self.ready.set()
        log.info("listening", extra={"listener": self.name, "addresses": self.addresses})

    @property
    def is_encrypted(self) -> bool:
        """Return whether TLS begins here."""
        return self._spec.tls is not None

    @property
    def is_for_children(self) -> bool:
        """Return whether a child could come in by it."""
        return self._spec.is_for_children

    def where(self) -> list[str]:
        """Return host:port of every address while it listens."""
        return [
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.addresses
        ]

    async def _bind(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        stack: contextlib.AsyncExitStack,
    ) -> tuple[str, int]:
        try:
            if self._spec.proxies is not None or context is not None:
                door = BehindProxy(
                    self._protocol,
                    self._spec.proxies,
                    context,
                    takes_certificates=self._spec.asks_certificates and context is None,
                )
                return await door.open(host, port, stack)
            server = await asyncio.get_running_loop().create_server(
                self._protocol,
                host,
                port,
                backlog=BACKLOG,
            )
        except (OSError, socket.gaierror) as error:
            raise self._impossible(host, port, error) from error
        stack.callback(server.close)
        found = server.sockets[0].getsockname()
        return str(found[0]), int(found[1])

    def _protocol(self) -> asyncio.Protocol:
        connection = self._broker.accept(self._entrance)
        rules = self._spec.websocket
        protocol = connection if rules is None else WebSocket(connection, rules)
        if self._spec.asks_certificates and self._spec.tls is not None:
            return Introduction(protocol, _holder)
        return protocol

    def _impossible(self, host: str, port: int, error: OSError) -> ConfigError:
        name, taken = self._spec.name, error.errno == errno.EADDRINUSE
        return ConfigError(
            f"MQTT listener {name!r} cannot listen on {host}:{port}: {error.strerror}",
            code="GW-1103",
            hint=f"see who holds it: ss -ltnp 'sport = :{port}'"
            if taken
            else f"give listener {name!r} an address of this machine",
        )

    def _closed(self) -> None:
        self.ready.clear()
        self.addresses.clear()


def _holder(transport: asyncio.Transport) -> Known:
    return {"gateway.certificate": certificate_of(transport)}
