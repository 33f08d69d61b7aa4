"""MQTT in WebSocket frames (RFC 6455; MQTT 5.0 section 6): a protocol that owns the socket and feeds a connection.

The connection sees a transport whose every write is one binary frame.  Frames mean nothing to MQTT: a packet may come
in many, one may hold many [MQTT-6.0.0-2].  Compression is never agreed on: most payloads are small, and how large a
compressed frame is, is known only once it is in memory.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from gateway.broker.frames import (
    BINARY,
    CLOSE,
    NORMAL,
    PING,
    PONG,
    TEXT,
    FrameReader,
    close_code,
    close_frame,
    frame,
)

if TYPE_CHECKING:
    from wsproto import WSConnection
    from wsproto.events import Request

log = logging.getLogger(__name__)

HANDSHAKE_S = 10.0
MOST_HANDSHAKES = 512  # under way at once, a listener; beyond these sockets are closed
MOST_UNSENT_PONG_BYTES = (
    65_536  # who does not read gets no more pongs: nobody need answer every ping (5.5.2)
)
SUBPROTOCOLS = (
    "mqtt",
    "mqttv3.1",
)  # [MQTT-6.0.0-3]; the older name is what MQTT 3.1 clients ask for
NO_TEXT = 1003  # close code, section 7.4.1

REASONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout"}


@dataclass(slots=True)
class Handshakes:
    """How many sockets of a listener have not said yet what they want."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class WebSocketRules:
    """Where WebSockets are taken, and from which pages."""

    paths: tuple[str, ...] = ("/mqtt", "/")
    origins: tuple[str, ...] = ()  # pages of other hosts that may connect; "*": all
    handshakes: Handshakes = field(default_factory=Handshakes)


class _RefusedError(Exception):
    """The request is answered with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class WebSocket(asyncio.Protocol):
    """One client's socket, from the HTTP request to its end; `inner` is the MQTT connection."""

    def __init__(self, inner: asyncio.Protocol, rules: WebSocketRules) -> None:
        self._inner = inner
        self._rules = rules
        self._socket: asyncio.Transport | None = None
        self._request: WSConnection | None = None  # until the handshake is over
        self._frames: FrameReader | None = None  # from then on
        self._deadline: asyncio.TimerHandle | None = None

    # ---- asyncio ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        from wsproto import ConnectionType, WSConnection  # noqa: PLC0415 - with h11, 2 MB that few nodes need

        self._socket = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        self._request = WSConnection(ConnectionType.SERVER)
        self._rules.handshakes.count += 1
        if self._rules.handshakes.count > MOST_HANDSHAKES:
            self._socket.abort()
            return
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(HANDSHAKE_S, self._refuse, 408, "no request in time")

    def data_received(self, data: bytes) -> None:
        """Take the request, then frames."""
        if self._request is not None:
            self._shake_hands(self._request, data)
        elif self._frames is not None and not self.is_closing:
            self._take_frames(self._frames, data)

    def eof_received(self) -> bool:
        """Close: without a close frame nothing can follow."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the MQTT connection, where there is one yet."""
        self._socket = None
        if self._request is not None:
            self._over()
        elif self._frames is not None:
            self._frames = None
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the client is slow."""
        if self._frames is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it has caught up."""
        if self._frames is not None:
            self._inner.resume_writing()

    # ---- the handshake ----

    def _shake_hands(self, request: "WSConnection", data: bytes) -> None:
        from wsproto.events import AcceptConnection, Request  # noqa: PLC0415
        from wsproto.utilities import ProtocolError  # noqa: PLC0415

        try:
            request.receive_data(data)
            asked = next(iter(request.events()), None)
            if asked is None:
                return
            assert isinstance(asked, Request)
            subprotocol = _judged(asked, self._rules)
        except _RefusedError as refused:
            self._refuse(refused.status, str(refused))
            return
        except (ProtocolError, ValueError) as error:  # wsproto lets its decoding errors through
            self._refuse(400, f"this is no WebSocket request: {error}")
            return
        assert self._socket is not None
        self._socket.write(request.send(AcceptConnection(subprotocol=subprotocol)))
        self._frames = FrameReader()
        self._over()
        self._inner.connection_made(WebSocketTransport(self, self._socket))

    def _over(self) -> None:
        """Note that the handshake ended, one way or the other."""
        self._request = None
        self._rules.handshakes.count -= 1
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int, text: str) -> None:
        socket = self._socket
        if socket is None or self._request is None:
            return
        log.info(
            "WebSocket refused",
            extra={"peer": str(socket.get_extra_info("peername")), "reason": text},
        )
        body = f"{text}\n".encode()
        head = (
            f"HTTP/1.1 {status} {REASONS[status]}\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        socket.write(head.encode() + body)
        socket.close()
        self._over()

    # ---- frames ----

    def _take_frames(self, frames: FrameReader, data: bytes) -> None:
        for kind, payload in frames.feed(data):
            if kind == BINARY:
                self._inner.data_received(payload)
            elif kind == PING:
                self._pong(payload)
            elif kind == TEXT:  # [MQTT-6.0.0-1]
                self.close(NO_TEXT, "MQTT comes in binary frames")
            elif kind == CLOSE:
                self.close(close_code(payload))
            if self.is_closing:
                return
        if frames.broken is not None:
            self.close(frames.broken.code, str(frames.broken))

    def _pong(self, payload: bytes) -> None:
        socket = self._socket
        if socket is not None and socket.get_write_buffer_size() < MOST_UNSENT_PONG_BYTES:
            socket.write(frame(PONG, payload))

    # ---- what the transport asks ----

    @property
    def is_closing(self) -> bool:
        """Return whether nothing more is taken or sent."""
        return self._socket is None or self._socket.is_closing()

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send one binary frame."""
        if self._socket is not None and not self._socket.is_closing():
            self._socket.write(frame(BINARY, bytes(data)))

    def close(self, code: int, reason: str = "") -> None:
        """Say why, and close once everything is sent."""
        socket = self._socket
        if socket is not None and not socket.is_closing():
            socket.write(close_frame(code, reason))
            socket.close()


def _judged(asked: "Request", rules: WebSocketRules) -> str:
    """Return the subprotocol to agree on; raises _RefusedError."""
    if asked.target.partition("?")[0] not in rules.paths:
        raise _RefusedError(404, f"MQTT is served at {rules.paths[0]}")
    subprotocol = next((name for name in SUBPROTOCOLS if name in asked.subprotocols), None)
    if subprotocol is None:  # [MQTT-6.0.0-3]
        raise _RefusedError(400, "ask for the subprotocol `mqtt` (Sec-WebSocket-Protocol)")
    origin = next((value for name, value in asked.extra_headers if name == b"origin"), None)
    if origin is not None and not _may_come_from(origin.decode("latin-1"), asked.host, rules):
        raise _RefusedError(403, "pages of this origin may not connect; see `allowed_origins`")
    return subprotocol


def _may_come_from(origin: str, host: str, rules: WebSocketRules) -> bool:
    """Return whether a page may connect: one of this host (any port), or one that the configuration names."""
    if "*" in rules.origins or origin.lower() in rules.origins:
        return True
    page = urlsplit(origin).hostname
    return page is not None and page == urlsplit(f"//{host}").hostname


class WebSocketTransport(asyncio.Transport):
    """What the MQTT connection writes to: every write is one frame."""

    __slots__ = ("_owner", "_socket")

    def __init__(self, owner: WebSocket, socket: asyncio.Transport) -> None:
        super().__init__()
        self._owner = owner
        self._socket = socket

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the socket knows."""
        return self._socket.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send one frame."""
        self._owner.send(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send one frame with all of it."""
        self._owner.send(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Return False: a WebSocket ends for both at once."""
        return False

    def close(self) -> None:
        """Say goodbye and close once everything is sent."""
        self._owner.close(NORMAL)

    def abort(self) -> None:
        """Close now."""
        self._socket.abort()

    def is_closing(self) -> bool:
        """Return whether it closes or is closed."""
        return self._owner.is_closing

    def is_reading(self) -> bool:
        """Return whether input is taken."""
        return self._socket.is_reading()

    def pause_reading(self) -> None:
        """Take no input; frames of the bytes at hand are still passed on."""
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Take input again."""
        self._socket.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return the unsent bytes."""
        return self._socket.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told that the peer is slow, and that it has caught up (bytes)."""
        self._socket.set_write_buffer_limits(high, low)
