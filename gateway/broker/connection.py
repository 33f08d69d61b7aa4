"""One client's socket: bytes to whole packets, packets to their handlers, and the end of both."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, cast

from gateway.broker.caller import Caller
from gateway.broker.entrance import Entrance
from gateway.broker.limits import CONNECT_BYTES
from gateway.broker.pausing import Hold
from gateway.broker.quick import QUICK, pass_on, took
from gateway.errors import MalformedFrameError
from gateway.mqtt import reasons
from gateway.mqtt.packets import BAD_LENGTH, Will, disconnect, split
from gateway.mqtt.reasons import violation
from gateway.mqtt.session import PAUSE_SHARE, RESUME_SHARE, MqttSession
from gateway.mqtt.topics import Entry

if TYPE_CHECKING:
    from gateway.broker.rates import Meter
    from gateway.broker.server import Broker

__all__ = ["Connection", "Handler", "Hold"]

log = logging.getLogger(__name__)

Handler = Callable[["Connection", bytes, int, int, int], bool]
"""(connection, data, first byte, start of body, end) -> False: ask again later with the same packet."""

FIRST_CONNECT = 0x10
SOLE = frozenset({0x30, 0x32, 0x40})  # PUBLISH at QoS 0 and 1, PUBACK
UNFLUSHED_BYTES = 1 << 20  # input routed before its output is written, within one tick
CALM_S = 200e-6  # nothing was read for so long: what this read brings is written at once, not after the tick
LINGER_S = 5.0  # for unsent bytes of a closed connection
ROUTES = 1024  # topics remembered per connection
NO_ROUTES: dict[bytes, Entry] = {}
"""What clients share that have not published; never written to."""


class Connection(Caller):
    """Matches `mqtt.ports.Session`; handed to claims and observers."""

    __slots__ = (
        "__weakref__",
        "_has_eof",
        "_is_lost",
        "aliases",
        "broker",
        "bytes_in",
        "closing",
        "handlers",
        "has_left",
        "is_expired",
        "is_traced",
        "is_watched",
        "keep_alive_s",
        "meter",
        "packets_in",
        "routes",
        "seen_at",
        "session",
        "was_seen",
        "will",
    )

    def __init__(
        self, broker: "Broker", entrance: Entrance, handlers: Mapping[int, Handler]
    ) -> None:
        """Make a connection that has not logged in."""
        super().__init__(entrance)
        self.broker = broker
        self.handlers = handlers
        self.session: MqttSession | None = None  # set once logged in
        self.routes = NO_ROUTES
        self.aliases: dict[int, bytes] | None = None  # topics that the client shortened
        self.will: Will | None = None
        self.meter: Meter | None = None
        self.keep_alive_s = 0
        self.seen_at = 0.0
        self.packets_in = self.bytes_in = 0
        self.was_seen = True
        self.closing: str | None = None  # why
        self.has_left = False  # said DISCONNECT
        self.is_expired = False  # the packet asked again has waited too long
        self.is_traced = False  # every packet goes through its handler
        self.is_watched = False  # its input is measured before it is handled
        self._is_lost = False
        self._has_eof = False

    # ---- asyncio ----

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.transport.set_write_buffer_limits(self.broker.limits.unsent_bytes)
        self.broker.connected(self)

    def data_received(self, data: bytes) -> None:
        """Handle whole packets; keep the rest until it is one."""
        if self.closing is not None or self.has_left:
            return
        self.was_seen = True
        size = len(data)
        self.bytes_in += size
        routing = self.broker.routing
        routing.unflushed_bytes += size
        if routing.unflushed_bytes > UNFLUSHED_BYTES:
            routing.flush()  # one tick brings so much that receivers' output would pile up
        now = monotonic()
        is_calm, routing.read_at = now - routing.read_at > CALM_S, now
        if is_calm:
            routing.is_calm = True
        try:
            if self._tail or self.holds or self.is_watched:
                self._go_on(data)
            elif 3 < size == data[1] + 2 < 130 and data[0] in SOLE:
                self._process_sole(data, size)
            else:
                self.process(data)
        finally:
            if is_calm:
                routing.calm_over()

    def _has_unread_answers(self) -> bool:
        most = 2 * self.broker.limits.unsent_bytes
        return self.transport is not None and self.transport.get_write_buffer_size() > most

    def _process_sole(self, data: bytes, size: int) -> None:
        """Handle a small packet that came alone: what a fleet of calm sensors sends."""
        self.packets_in += 1
        if data[0] == 0x30 and not self.is_traced:
            cut = 4 + (data[2] << 8 | data[3])
            entry = self.routes.get(data[4:cut])
            is_v5 = self.version == 5
            if entry is not None and cut < size and not (is_v5 and data[cut]):
                sessions = entry.plain5 if is_v5 else entry.plain3
                if sessions is not None:
                    self.broker.messages_in += 1
                    pass_on(sessions, data)
                    return
        elif took(self, data, 0, 2, size):
            return
        if not self.handle(data, data[0], 2, size) and self.closing is None:
            self.look_ahead(data)  # to be asked again

    def _go_on(self, data: bytes) -> None:
        """Take input behind what is kept."""
        session = self.session
        if session is not None and session.is_behind and self._has_unread_answers():
            self.rest(Hold.OUTPUT)
        whole = self.joined(data) if self._tail else data
        if whole is None:
            return
        if self.meter is not None:
            frames, _, _ = split(whole, self.limit())
            self.meter.spend(self, len(frames), len(data))
        if self.holds:
            self.look_ahead(whole)
        else:
            self.process(whole)

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
        if not self.holds and self.has_waiting and self.closing is None:
            self.resume()
        if not self.holds or self.closing is not None:
            self.end("connection lost" if exc is None else f"connection lost: {exc}")

    def pause_writing(self) -> None:
        """Mark the client slow: QoS 0 is dropped, QoS 1 and 2 queued, until it has caught up."""
        if self.session is not None:
            self.session.is_behind = self.is_watched = True

    def resume_writing(self) -> None:
        """Send what waited."""
        session = self.session
        if session is not None and session.write is not None:
            session.is_behind = False
            self.is_watched = self.meter is not None
            session.pump()
        self.release(Hold.OUTPUT)

    # ---- packets ----

    @property
    def is_over(self) -> bool:
        """Return whether nothing is handled any more."""
        return self.closing is not None

    @property
    def has_session(self) -> bool:
        """Return whether somebody has logged in."""
        return self.session is not None

    def limit(self) -> int:
        """Return the largest packet taken."""
        most = self.entrance.most_packet_bytes or self.broker.limits.packet_bytes
        return most if self.session is not None else min(most, CONNECT_BYTES)

    def process(self, data: bytes) -> None:
        """Handle the packets of `data`, and keep what is unfinished."""
        frames, used, need = split(data, self.limit())
        routes = NO_ROUTES if self.is_traced else self.routes
        is_v5 = self.version == 5
        self.packets_in += len(frames)
        count = 0
        for first, start, body, end in frames:
            if first == 0x30 and end - body > 3:
                cut = body + 2 + (data[body] << 8 | data[body + 1])
                entry = routes.get(data[body + 2 : cut])
                if entry is not None and cut < end:
                    sessions = entry.plain5 if is_v5 else entry.plain3
                    if sessions is not None and not (is_v5 and data[cut]):
                        count += 1
                        pass_on(sessions, data[start:end])
                        continue
            elif first in QUICK and took(self, data, start, body, end):
                continue
            done = self.handle(data, first, body, end)
            if self.holds and self.closing is None:
                self.look_ahead(data[end if done else start :])
            if self.holds or self.closing is not None:
                used = len(data)  # nothing to be kept, or kept already
                break
        self.broker.messages_in += count
        if used < len(data):
            self._keep(data, used, need)

    def _keep(self, data: bytes, used: int, need: int) -> None:
        if self.session is None and data[used] != FIRST_CONNECT and not self.holds:
            self.handle(data, data[used], used, len(data))  # no MQTT at all: do not wait for more
            return
        self.keep_tail(data, used, need)

    def handle(self, data: bytes, first: int, body: int, end: int) -> bool:
        """Give one packet to its handler; what is forbidden closes the connection."""
        try:
            if end == 0 and body == BAD_LENGTH:
                raise violation("a bad length")
            if end == 0:
                raise violation("a packet above the limit", reasons.PACKET_TOO_LARGE)
            handler = self.handlers.get(first)
            if handler is None:
                raise violation(f"packet type {first >> 4} with flags {first & 15}")
            if (self.session is None) is not (first == FIRST_CONNECT):
                raise violation(
                    "a packet before CONNECT, or a second CONNECT", reasons.PROTOCOL_ERROR
                )
            return handler(self, data, first, body, end)
        except MalformedFrameError as error:
            self.broker.violated(self, error)
            return True

    def caught_up(self) -> bool:
        """Handle that everything kept was handled; False when the connection ended with it."""
        self.was_seen = True  # keep-alive counts from here
        if self._is_lost or self.has_left or self._has_eof:
            self.end("left" if self.has_left else "connection lost")
            return False
        return True

    # ---- publishes of this client ----

    def acknowledge(self, packet: bytes, settle: int, group: int, size: int) -> None:
        """Answer a publish when it is settled; pause the reader when too many are not."""
        session = self.session
        if session is None or self._is_lost:
            return
        through = self.broker.settled_through
        session.acknowledge(packet, settle, group, through=through, size=size)
        if session.acks:
            self.broker.unsettled.add(self)
            if session.is_over(PAUSE_SHARE):
                self.hold(Hold.ACKS)

    def settled(self, through: int) -> bool:
        """Release acknowledgements; return whether some still wait."""
        session = self.session
        if session is None or self._is_lost:
            return False
        session.release(through)
        if self.holds & Hold.ACKS and not session.is_over(RESUME_SHARE):
            self.release(Hold.ACKS)
        return bool(session.acks)

    def remember(self, raw: bytes, entry: Entry) -> None:
        """Keep what a topic means for this client."""
        if self.routes is NO_ROUTES or len(self.routes) >= ROUTES:
            self.routes = {}
        self.routes[raw] = entry

    # ---- the end ----

    def leave(self, *, with_will: bool = False) -> None:
        """Handle DISCONNECT: no will, unless it asks for it; what came before it is still handled."""
        if not with_will and self.will is not None:
            self.broker.wills.void(self)
        self.has_left = True
        if not self.holds:
            self.end("left")

    def end(self, reason: str, code: int = 0) -> None:
        """End session and socket; an MQTT 5 client is told `code`. Safe to call twice."""
        if self.closing is not None:
            return
        self.closing = reason
        self.remember_peer()
        session = self.session
        if session is not None:
            if code and self.version == 5:
                session.out.append(disconnect(code))
            session.flush()
        transport = self.transport
        if transport is not None:
            transport.close()
            if (
                transport.get_write_buffer_size()
            ):  # a client that does not read may not keep the socket
                asyncio.get_running_loop().call_later(LINGER_S, transport.abort)
        self.clear()
        self.broker.ended(self, reason)
        self.session = None  # a kept one belongs to the next connection now
