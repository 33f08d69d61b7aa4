"""The door of a listener that accepts its sockets itself: where TLS begins, and where a proxy stands before it.

asyncio begins as many TLS handshakes as somebody opens sockets, and before any PROXY header.  Here as many as there is
room for are under way at once; the others wait in the kernel's backlog.  A PROXY header is read first, and only from
trusted addresses: anybody else could claim to be somebody.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from gateway.broker.introduction import Introduction
from gateway.broker.proxy_protocol import ProxyHeader, missing, parse
from gateway.errors import MalformedFrameError

log = logging.getLogger(__name__)

BACKLOG = 1024
HEADER_S = 5.0  # a proxy sends it with the first segment
HANDSHAKE_S = 10.0
ACCEPT_RETRY_S = 1.0  # no descriptor is free
QUIET_S = 60.0  # between two lines of the log about refused sockets
MOST_PENDING = 256  # headers waited for at once; beyond these sockets are closed
MOST_HANDSHAKES = 256  # of TLS, under way at once: a descriptor and some 100 kB each

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


class BehindProxy:
    """Accepts sockets on one address and hands each, introduced, to a protocol of its own."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.Protocol],
        trusted: Networks | None,
        context: ssl.SSLContext | None,
        *,
        takes_certificates: bool,
    ) -> None:
        """`trusted`: who sends PROXY headers; None: nobody has to. `takes_certificates`: a client certificate that the proxy verified counts as shown to us."""
        self._protocol = protocol
        self._trusted = trusted
        self._context = context
        self._takes_certificates = takes_certificates
        self._pending = 0
        self._has_room = asyncio.Event()
        self._refused = 0
        self._quiet_until = 0.0

    async def open(self, host: str, port: int, stack: contextlib.AsyncExitStack) -> tuple[str, int]:
        """Listen; returns the address. `stack` ends it. Raises OSError."""
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        bound: tuple[str, int] | None = None
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for family, where in sorted({(info[0], info[4][0]) for info in infos}):
            at = (str(where), port or (bound[1] if bound else 0))
            sock = socket.create_server(at, family=family, backlog=BACKLOG)
            stack.callback(sock.close)
            sock.setblocking(False)
            accepting = group.create_task(self._accept(sock), name=f"accept {host}:{port}")
            stack.callback(accepting.cancel)
            bound = bound or sock.getsockname()[:2]
        assert bound is not None
        return str(bound[0]), int(bound[1])

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._room()
                try:
                    client, address = await loop.sock_accept(sock)
                except OSError as error:
                    log.warning("cannot accept", extra={"error": error.strerror})
                    await asyncio.sleep(ACCEPT_RETRY_S)
                    continue
                if self._trusted is not None and (
                    self._pending >= MOST_PENDING or not self._is_trusted(address, self._trusted)
                ):
                    self._refuse(client, address, "no trusted proxy, or too many headers are due")
                    continue
                self._pending += 1
                group.create_task(self._admit(client, address), name=f"client {address[0]}")

    async def _room(self) -> None:
        """Wait until one more may come; behind a proxy those that are too many are closed instead."""
        while self._trusted is None and self._pending >= MOST_HANDSHAKES:
            self._has_room.clear()
            await self._has_room.wait()

    @staticmethod
    def _is_trusted(address: tuple[Any, ...], trusted: Networks) -> bool:
        found = ipaddress.ip_address(address[0].partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in trusted)

    async def _admit(self, client: socket.socket, address: tuple[Any, ...]) -> None:
        try:
            if self._trusted is None:
                await self._begin(client, None)
            elif (header := await self._header(client, address)) is not None:
                await self._begin(client, header)
        finally:
            self._pending -= 1
            self._has_room.set()

    async def _header(self, client: socket.socket, address: tuple[Any, ...]) -> ProxyHeader | None:
        """Return what the proxy says; None where the socket was closed for it."""
        try:
            async with asyncio.timeout(HEADER_S):
                return await _header(client)
        except MalformedFrameError as error:
            self._refuse(client, address, error.text)
        except OSError:  # a proxy's health check, or one that never got to say what it wants
            client.close()
        except BaseException:
            client.close()
            raise
        return None

    def _refuse(self, client: socket.socket, address: tuple[Any, ...], why: str) -> None:
        """Close, and say why once a minute: a wrong proxy tries again all the time."""
        client.close()
        now = asyncio.get_running_loop().time()
        self._refused += 1
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_S
            log.warning(
                "refused before a PROXY header",
                extra={
                    "peer": f"{address[0]}:{address[1]}",
                    "reason": why,
                    "refused": self._refused,
                    "code": "GW-1120",
                },
            )

    async def _begin(self, client: socket.socket, header: ProxyHeader | None) -> None:
        """Let TLS, WebSocket or MQTT begin on the socket."""
        make = self._protocol
        if header is not None:
            known = self._known(header)

            def make() -> asyncio.Protocol:
                return Introduction(self._protocol(), lambda _: known)

        with contextlib.suppress(OSError):  # it left, or its TLS failed: asyncio has closed it
            await asyncio.get_running_loop().connect_accepted_socket(
                make,
                client,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S if self._context else None,
            )

    def _known(self, header: ProxyHeader) -> dict[str, Any]:
        known: dict[str, Any] = {}
        if header.peer is not None:
            known["peername"] = header.peer
        if header.local is not None:
            known["sockname"] = header.local
        if header.certificate is not None and self._takes_certificates:
            known["gateway.certificate"] = header.certificate
        return known


async def _header(client: socket.socket) -> ProxyHeader:
    loop, data = asyncio.get_running_loop(), b""
    while wanted := missing(data):
        chunk = await loop.sock_recv(client, wanted)
        if not chunk:
            raise ConnectionResetError
        data += chunk
    return parse(data)
