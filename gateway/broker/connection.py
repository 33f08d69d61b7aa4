"""One client's socket: bytes to whole packets, packets to their handlers, and what is kept while a reader pauses.

While it is held (an answer of the mesh, its own unsettled publishes, a full store) packets wait in order; only
acknowledgements, PINGREQ and DISCONNECT are handled from the look-ahead, so that a client whose own acks would
end the pause can give them.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from enum import IntFlag
from typing import TYPE_CHECKING

from gateway.broker.limits import CONNECT_BYTES, LOOK_AHEAD_BYTES
from gateway.errors import MalformedFrameError
from gateway.mqtt.packets import BAD_LENGTH, Will, malformed, split
from gateway.mqtt.ports import Principal, PrincipalKind
from gateway.mqtt.session import PAUSE_SHARE, RESUME_SHARE, MqttSession
from gateway.mqtt.topics import Entry

if TYPE_CHECKING:
    from gateway.broker.server import Broker

log = logging.getLogger(__name__)

Handler = Callable[["Connection", bytes, int, int, int], bool]
"""(connection, data, first byte, start of body, end) -> False: ask again later with the same packet."""

FIRST_CONNECT = 0x10
AHEAD = frozenset({0x40, 0x62, 0xC0, 0xE0})  # PUBACK, PUBREL, PINGREQ, DISCONNECT
LINGER_S = 5.0  # for unsent bytes of a closed connection
ROUTES = 1024  # topics remembered per connection
NOBODY = Principal(PrincipalKind.USER, "")


class Hold(IntFlag):
    """Why a reader pauses."""

    LOGIN = 1  # the authenticator has not answered
    WAIT = 2  # a claim has not answered
    ACKS = 4  # its own publishes are not settled
    SHARED = 8  # a store or queue that all share is full


class Connection(asyncio.Protocol):
    """Matches `mqtt.ports.Session`; handed to claims and observers."""

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_ahead_bytes",
        "_has_eof",
        "_is_lost",
        "_is_reading",
        "_need",
        "_tail",
        "broker",
        "client_id",
        "closing",
        "handlers",
        "has_left",
        "holds",
        "is_expired",
        "keep_alive_s",
        "listener",
        "peer",
        "principal",
        "routes",
        "seen_at",
        "session",
        "transport",
        "was_seen",
        "will",
    )

    def __init__(self, broker: "Broker", listener: str, handlers: Mapping[int, Handler]) -> None:
        """Make a connection that has not logged in."""
        self.broker = broker
        self.listener = listener
        self.handlers = handlers
        self.transport: asyncio.Transport | None = None
        self.session: MqttSession | None = None  # set once logged in
        self.principal = NOBODY
        self.client_id = ""
        self.peer = ""
        self.routes: dict[bytes, Entry] = {}
        self.will: Will | None = None
        self.keep_alive_s = 0
        self.seen_at = 0.0
        self.was_seen = True
        self.closing: str | None = None  # why
        self.has_left = False  # said DISCONNECT
        self.holds = Hold(0)
        self.is_expired = False  # the packet asked again has waited too long
        self._tail = bytearray()
        self._need = 0
        self._ahead: list[bytes] = []
        self._ahead_bytes = 0
        self._is_lost = False
        self._has_eof = False
        self._is_reading = True

    # ---- asyncio ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer or "local")
        transport.set_write_buffer_limits(self.broker.limits.unsent_bytes)
        self.broker.connected(self)

    def data_received(self, data: bytes) -> None:
        """Handle whole packets; keep the rest until it is one."""
        if self.closing is not None:
            return
        self.was_seen = True
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._need:
                self._pause_when_full()
                return
            data = bytes(tail)
            self._tail = bytearray()
        self.broker.received(len(data))
        if self.holds:
            self._look_ahead(data)
        else:
            self._process(data)

    def eof_received(self) -> bool:
        """Keep our side open while packets wait, so that they are answered (TLS cannot)."""
        self._has_eof = True
        is_plain = self.transport is not None and not self.transport.get_extra_info("sslcontext")
        return bool(self.holds & ~Hold.LOGIN) and self.closing is None and is_plain

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session, after the packets that came before the end."""
        self._is_lost = True
        self.transport = None
        if self.session is not None:
            self.session.detached()
        self.holds &= Hold.WAIT
        if not self.holds and self._ahead and self.closing is None:
            self._resume()
        if not self.holds or self.closing is not None:
            self.end("connection lost" if exc is None else f"connection lost: {exc}")

    def pause_writing(self) -> None:
        """Mark the client slow: QoS 0 is dropped, QoS 1 queued, until it has caught up."""
        if self.session is not None:
            self.session.is_behind = True

    def resume_writing(self) -> None:
        """Send what waited."""
        session = self.session
        if session is not None and session.write is not None:
            session.is_behind = False
            session.pump()

    # ---- packets ----

    def _limit(self) -> int:
        most = self.broker.limits.packet_bytes
        return most if self.session is not None else min(most, CONNECT_BYTES)

    def _process(self, data: bytes) -> None:
        frames, used, need = split(data, self._limit())
        routes = self.routes
        count = 0
        for first, start, body, end in frames:
            if first == 0x30 and end - body > 2:
                cut = body + 2 + (data[body] << 8 | data[body + 1])
                entry = routes.get(data[body + 2 : cut])
                if (
                    entry is not None
                    and entry.handler is None
                    and not entry.callbacks
                    and cut <= end
                    and (receivers := entry.receivers) is not None
                ):
                    # The packet as it came is the packet as it goes: QoS 0, not retained, same topic.
                    count += 1
                    packet = data[start:end]
                    for session, _ in receivers:
                        if session.is_behind:
                            session.dropped += 1
                            continue
                        session.out.append(packet)
                        session.sent += 1
                        if not session.is_dirty:
                            session.wake(session)
                    continue
            done = self._handle(data, first, body, end)
            if self.closing is not None:
                break
            if self.holds:
                self.broker.messages_in += count
                self._look_ahead(data[end if done else start :])
                return
        self.broker.messages_in += count
        if used < len(data) and self.closing is None:
            self._keep_tail(data, used, need)

    def _keep_tail(self, data: bytes, used: int, need: int) -> None:
        if self.session is None and data[used] != FIRST_CONNECT:
            self._handle(data, data[used], used, len(data))  # no MQTT at all: do not wait for more
            return
        self._tail = bytearray(memoryview(data)[used:])
        self._need = need

    def _handle(self, data: bytes, first: int, body: int, end: int) -> bool:
        """Give one packet to its handler; what is forbidden closes the connection."""
        try:
            if end == 0:
                raise malformed(
                    "a bad length" if body == BAD_LENGTH else "a packet above the limit"
                )
            handler = self.handlers.get(first)
            if handler is None:
                raise malformed(f"packet type {first >> 4} with flags {first & 15}")
            if (self.session is None) is not (first == FIRST_CONNECT):
                raise malformed("a packet before CONNECT, or a second CONNECT")
            return handler(self, data, first, body, end)
        except MalformedFrameError as error:
            self.broker.violated(self, error)
            return True

    # ---- pausing ----

    def _look_ahead(self, data: bytes) -> None:
        frames, used, need = split(data, self._limit())
        for first, start, body, end in frames:
            if end == 0:  # found again, in order, on resume
                used, need = start, len(data) - start + 1
                break
            if first in AHEAD and self.session is not None:
                self._handle(data, first, body, end)
                if self.closing is not None:
                    return
            else:
                self._ahead.append(data[start:end])
                self._ahead_bytes += end - start
        if used < len(data):
            self._tail = bytearray(memoryview(data)[used:])
            self._need = need
        self._pause_when_full()

    def _pause_when_full(self) -> None:
        is_full = self._ahead_bytes + len(self._tail) >= LOOK_AHEAD_BYTES
        if self.holds and is_full and self._is_reading and self.transport is not None:
            self._is_reading = False
            self.transport.pause_reading()

    def hold(self, why: Hold) -> None:
        """Stop handling packets until released."""
        self.holds |= why

    def release(self, why: Hold) -> None:
        """Go on with what waited, unless something else holds it."""
        if not self.holds & why:
            return
        self.holds &= ~why
        if not self.holds and self.closing is None:
            self._resume()

    def _resume(self) -> None:
        self.was_seen = True  # keep-alive counts from here
        data = b"".join((*self._ahead, self._tail))
        self._ahead.clear()
        self._ahead_bytes = 0
        self._tail = bytearray()
        self._process(data)
        if self.holds:
            return
        if self._is_lost or self.has_left or self._has_eof:
            self.end("left" if self.has_left else "connection lost")
        elif not self._is_reading and self.transport is not None:
            self._is_reading = True
            self.transport.resume_reading()

    # ---- publishes of this client ----

    def acknowledge(self, packet: bytes, settle: int, size: int) -> None:
        """Answer a publish when it is settled; pause the reader when too many are not."""
        session = self.session
        if session is None or self._is_lost:
            return
        through = self.broker.settled_through
        session.acknowledge(packet, settle, through, size)
        if session.acks:
            self.broker.unsettled.add(self)
            if session.is_over(PAUSE_SHARE):
                self.hold(Hold.ACKS)

    def settled(self, through: int) -> bool:
        """Release acknowledgements; return whether some still wait."""
        session = self.session
        if session is None or self._is_lost:
            return False
        waits = session.release(through)
        if self.holds & Hold.ACKS and not session.is_over(RESUME_SHARE):
            self.release(Hold.ACKS)
        return waits or bool(session.acks)

    def remember(self, raw: bytes, entry: Entry) -> None:
        """Keep what a topic means for this client."""
        if len(self.routes) >= ROUTES:
            self.routes.clear()
        self.routes[raw] = entry

    # ---- the end ----

    def leave(self) -> None:
        """Handle DISCONNECT: no will; what came before it is still handled."""
        self.will = None
        self.has_left = True
        if not self.holds:
            self.end("left")

    def end(self, reason: str) -> None:
        """End session and socket; safe to call twice."""
        if self.closing is not None:
            return
        self.closing = reason
        if self.session is not None:
            self.session.flush()
        transport = self.transport
        if transport is not None:
            transport.close()
            if (
                transport.get_write_buffer_size()
            ):  # a client that does not read may not keep the socket
                asyncio.get_running_loop().call_later(LINGER_S, transport.abort)
        self._ahead.clear()
        self._tail = bytearray()
        self.broker.ended(self, reason)
        self.session = None  # a kept one belongs to the next connection now
