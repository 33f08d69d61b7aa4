"""A raw MQTT client in WebSocket frames; the frames are wsproto's, which is not what the broker is tested for here."""

import asyncio
from collections import deque

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from tests.fakes.raw_mqtt import RawMqtt

READ_BYTES = 65_536


class WebSocketStream:
    """Stands where `RawMqtt` has a StreamReader and a StreamWriter; every write is one binary frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = WSConnection(ConnectionType.CLIENT)
        self._data = bytearray()
        self._is_over = False
        self.events: deque[object] = deque(maxlen=64)
        self.transport = writer.transport

    async def shake_hands(self, path: str, subprotocols: list[str]) -> str | None:
        """Ask for a WebSocket; return the subprotocol that was agreed on."""
        self._send(Request(host="127.0.0.1", target=path, subprotocols=subprotocols))
        while not self.events:
            await self._receive()
        answer = self.events.popleft()
        if isinstance(answer, RejectConnection | RejectData):
            raise ConnectionRefusedError(str(answer))
        assert isinstance(answer, AcceptConnection), answer
        return answer.subprotocol

    def _send(self, event: object) -> None:
        self._writer.write(self._frames.send(event))  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        self._send(BytesMessage(data))

    def write_text(self, data: str) -> None:
        """Send what MQTT forbids: a text frame."""
        self._send(TextMessage(data))

    async def drain(self) -> None:
        await self._writer.drain()

    async def wait_closed(self) -> None:
        await self._writer.wait_closed()

    async def _receive(self) -> None:
        raw = await self._reader.read(READ_BYTES)
        if not raw:
            self._is_over = True
            return
        self._frames.receive_data(raw)
        for event in self._frames.events():
            if isinstance(event, BytesMessage):
                self._data += event.data
            elif isinstance(event, Ping):
                self._writer.write(self._frames.send(event.response()))
            elif isinstance(event, CloseConnection):
                self._is_over = True
            else:
                assert not isinstance(event, TextMessage), "a text frame from a server"
                self.events.append(event)

    async def readexactly(self, count: int) -> bytes:
        while len(self._data) < count:
            if self._is_over:
                raise asyncio.IncompleteReadError(bytes(self._data), count)
            await self._receive()
        found = bytes(self._data[:count])
        del self._data[:count]
        return found


async def open_websocket(
    port: int,
    version: int = 4,
    *,
    path: str = "/mqtt",
    subprotocols: tuple[str, ...] = ("mqtt",),
) -> tuple[RawMqtt, str | None]:
    """Open a WebSocket; return a raw client on it and the subprotocol that the server chose."""
    stream = WebSocketStream(*await asyncio.open_connection("127.0.0.1", port))
    chosen = await stream.shake_hands(path, list(subprotocols))
    return RawMqtt(stream, stream, version), chosen  # type: ignore[arg-type]
