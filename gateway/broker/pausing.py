"""Input that waits: why a reader pauses, what is kept meanwhile, and how it goes on in order.

While it is held (an answer of the mesh, its own unsettled publishes, a full store) packets wait in order; only
acknowledgements, PINGREQ and DISCONNECT are handled from the look-ahead, so that a client whose own acks would
end the pause can give them.
"""

import asyncio

from gateway.broker.limits import LOOK_AHEAD_BYTES
from gateway.mqtt.packets import split

AHEAD = frozenset({0x40, 0x50, 0x62, 0x70, 0xC0, 0xE0})
"""PUBACK, PUBREC, PUBREL, PUBCOMP, PINGREQ, DISCONNECT."""


class Hold:
    """Why a reader pauses: bits of `holds`. Plain integers: an IntFlag costs a microsecond each time."""

    LOGIN = 1  # the authenticator has not answered
    WAIT = 2  # a claim has not answered
    ACKS = 4  # its own publishes are not settled
    SHARED = 8  # a store or queue that all share is full
    RATE = 16  # more than one client may send
    OUTPUT = 32  # it does not read its answers


NOTHING = b""


class PausedInput(asyncio.Protocol):
    """A byte stream of packets whose handling can pause; the connection says how one is handled."""

    __slots__ = ("_ahead", "_ahead_bytes", "_is_reading", "_need", "_tail", "holds", "transport")

    transport: asyncio.Transport | None
    holds: int
    has_left: bool  # said DISCONNECT: nothing after it counts

    def __init__(self) -> None:
        self.transport = None
        self.holds = 0
        self._tail: bytes | bytearray = NOTHING  # an unfinished packet
        self._need = 0  # how long the tail must get to go on
        self._ahead: list[bytes] | None = None  # whole packets that wait
        self._ahead_bytes = 0
        self._is_reading = True

    # What a connection adds.

    @property
    def is_over(self) -> bool:
        """Return whether nothing is handled any more."""
        raise NotImplementedError

    @property
    def has_session(self) -> bool:
        """Return whether somebody has logged in."""
        raise NotImplementedError

    def limit(self) -> int:
        """Return the largest packet taken, in bytes."""
        raise NotImplementedError

    def process(self, data: bytes) -> None:
        """Handle the packets of `data`, and keep what is unfinished."""
        raise NotImplementedError

    def handle(self, data: bytes, first: int, body: int, end: int) -> bool:
        """Handle one packet."""
        raise NotImplementedError

    def caught_up(self) -> bool:
        """Handle that everything kept was handled; False when the connection ended with it."""
        raise NotImplementedError

    # Pausing.

    def look_ahead(self, data: bytes) -> None:
        """Keep packets for later, but for those that may go first."""
        frames, used, need = split(data, self.limit())
        for first, start, body, end in frames:
            if end == 0:  # found again, in order, on resume
                used, need = start, len(data) - start + 1
                break
            if first in AHEAD and self.has_session:
                self.handle(data, first, body, end)
                if self.is_over or self.has_left:
                    return
            else:
                if self._ahead is None:
                    self._ahead = []
                self._ahead.append(data[start:end])
                self._ahead_bytes += end - start
        if used < len(data):
            self.keep_tail(data, used, need)
        self.pause_when_full()

    def keep_tail(self, data: bytes, used: int, need: int) -> None:
        """Keep the beginning of a packet."""
        self._tail = bytearray(memoryview(data)[used:])
        self._need = need

    def joined(self, data: bytes) -> bytes | None:
        """Return `data` behind what was kept of a packet; None while that packet is not whole."""
        tail = self._tail
        if not tail:
            return data
        assert isinstance(tail, bytearray)
        tail += data
        if len(tail) < self._need:
            self.pause_when_full()
            return None
        self._tail = NOTHING
        return bytes(tail)

    def pause_when_full(self) -> None:
        """Stop reading the socket when enough waits."""
        is_full = self._ahead_bytes + len(self._tail) >= LOOK_AHEAD_BYTES
        if self.holds and is_full and self._is_reading and self.transport is not None:
            self._is_reading = False
            self.transport.pause_reading()

    def hold(self, why: int) -> None:
        """Stop handling packets until released."""
        self.holds |= why

    def rest(self, why: int) -> None:
        """Stop handling packets, and reading the socket, until released: what comes would cost something."""
        self.hold(why)
        if self._is_reading and self.transport is not None:
            self._is_reading = False
            self.transport.pause_reading()

    def release(self, why: int) -> None:
        """Go on with what waited, unless something else holds it."""
        if not self.holds & why:
            return
        self.holds &= ~why
        if not self.holds and not self.is_over:
            self.resume()

    @property
    def has_waiting(self) -> bool:
        """Return whether packets are kept."""
        return bool(self._ahead)

    def resume(self) -> None:
        """Handle what was kept."""
        data = b"".join((*(self._ahead or ()), self._tail))
        self.clear()
        self.process(data)
        if self.holds or not self.caught_up():
            return
        if not self._is_reading and self.transport is not None:
            self._is_reading = True
            self.transport.resume_reading()

    def clear(self) -> None:
        """Drop what is kept."""
        self._ahead = None
        self._ahead_bytes = 0
        self._tail = NOTHING
