"""A WebSocket client that says what it is told, right or wrong, and keeps every frame it sees."""

import asyncio
import contextlib
import socket
import ssl
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    RejectConnection,
    Request,
)

DEADLINE_S = 5.0
READ_BYTES = 65_536


class Refused(Exception):  # noqa: N818 - what the test expects, not a fault
    """The server answered with an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class WebSocketClient:
    """One open WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames: list[bytes] = []
        self.events: list[Any] = []
        self.subprotocol: str | None = None
        self.extensions: list[Any] = []
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._data = bytearray()
        self._has_ended = False

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        path: str = "/mqtt",
        subprotocols: list[str] | None = None,
        host: str = "127.0.0.1",
        origin: str | None = None,
        one_by_one: bool = False,
        receive_bytes: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> "WebSocketClient":
        """Shake hands; raises Refused."""
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        name = "127.0.0.1" if tls else None
        client = cls(
            *await asyncio.open_connection(
                sock=sock, ssl=tls, server_hostname=name, limit=receive_bytes or 65_536
            )
        )
        headers = [] if origin is None else [(b"Origin", origin.encode())]
        asked = ["mqtt"] if subprotocols is None else subprotocols
        request = client._ws.send(
            Request(host=host, target=path, subprotocols=asked, extra_headers=headers)
        )
        for piece in [bytes((b,)) for b in request] if one_by_one else [request]:
            client.writer.write(piece)
            await client.writer.drain()
            if one_by_one:
                await asyncio.sleep(0)
        try:
            accepted = await client.event(AcceptConnection, RejectConnection)
        except BaseException:
            await client.gone()
            raise
        if isinstance(accepted, RejectConnection):
            await client.gone()
            raise Refused(accepted.status_code)
        client.subprotocol, client.extensions = accepted.subprotocol, accepted.extensions
        return client

    def say(self, event: Any) -> None:
        """Send an event as wsproto writes it."""
        self.writer.write(self._ws.send(event))

    def send(self, data: bytes) -> None:
        """Send one binary frame."""
        self.say(BytesMessage(data))

    def send_fragments(self, *pieces: bytes) -> None:
        """Send one message in several frames."""
        for piece in pieces[:-1]:
            self.say(BytesMessage(piece, message_finished=False))
        self.say(BytesMessage(pieces[-1]))

    def raw(self, data: bytes) -> None:
        """Send bytes past wsproto."""
        self.writer.write(data)

    def seen(self, *kinds: type) -> list[Any]:
        """Return the events of these kinds that came."""
        return [event for event in self.events if isinstance(event, kinds)]

    async def event(self, *kinds: type) -> Any:
        """Return the first event of these kinds."""
        async with asyncio.timeout(DEADLINE_S):
            while not (found := self.seen(*kinds)):
                assert not self._has_ended, f"the server closed; there came {self.events}"
                await self._receive()
        return found[0]

    async def bytes_of(self, count: int) -> bytes:
        """Return the next bytes that came in binary frames."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self._data) < count:
                assert not self._has_ended, f"the server closed; there came {self.events}"
                await self._receive()
        found = bytes(self._data[:count])
        del self._data[:count]
        return found

    async def is_over(self) -> bool:
        """Return once the server has closed the socket."""
        async with asyncio.timeout(DEADLINE_S):
            while not self._has_ended:
                await self._receive()
        return True

    async def _receive(self) -> None:
        try:
            data = await self.reader.read(READ_BYTES)
        except ConnectionResetError:
            data = b""
        if not data:
            self._has_ended = True
            return
        self._ws.receive_data(data)
        for event in self._ws.events():
            self.events.append(event)
            if isinstance(event, BytesMessage):
                self._data += event.data
                if event.frame_finished:
                    self.frames.append(bytes(event.data))

    async def gone(self) -> None:
        """Close the socket."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
