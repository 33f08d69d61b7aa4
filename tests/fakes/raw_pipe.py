"""A broker without sockets: its connections get a transport in memory, its clock is ours, time is explicit.

For tests that need many thousand connections or a clock that jumps.  What the broker raises reaches the test, or, from
a callback, `errors`.
"""

import asyncio
from collections import deque
from typing import Any, Self

from gateway.broker.entrance import Entrance
from gateway.broker.limits import Limits
from gateway.broker.server import Broker
from tests.fakes.mqtt_broker import PRINCIPALS, authenticate
from tests.fakes.raw_journal import MemoryJournal
from tests.fakes.raw_reading import Packet, read

ENTRANCE = Entrance("pipe")
MOST_TURNS = 100  # of the loop until it is idle; more is work that never ends


class PipeTransport(asyncio.Transport):
    """The broker's end of a connection in memory."""

    def __init__(self, pipe: "Pipe") -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.pipe = pipe
        self.is_closed = False
        self.is_paused = False
        self.high = 1 << 16
        self.is_full = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closed:
            return
        self.pipe.unread += data
        if len(self.pipe.unread) > self.high and not self.is_full:
            self.is_full = True
            self.pipe.connection.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 1 << 16

    def get_write_buffer_size(self) -> int:
        return 0 if self.is_closed else max(0, len(self.pipe.unread) - self.high)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False
        self.pipe.loop.call_soon(self.pipe.deliver)

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.pipe.loop.call_soon(self.pipe.connection.connection_lost, None)

    abort = close


class Pipe:
    """The client's end: bytes in, packets out."""

    def __init__(self, bench: "PipeBroker", version: int) -> None:
        self.bench = bench
        self.loop = bench.loop
        self.version = version
        self.unread = bytearray()
        self.waiting: deque[bytes] = deque()
        self.connection = bench.broker.accept(ENTRANCE)
        self.transport = PipeTransport(self)
        self.connection.connection_made(self.transport)

    @property
    def is_open(self) -> bool:
        """Return whether the broker has not closed it."""
        return not self.transport.is_closed

    def send(self, *pieces: bytes) -> None:
        """Send pieces, each arriving on its own, unless the broker has closed or stopped reading."""
        self.waiting.extend(pieces)
        self.deliver()

    def deliver(self) -> None:
        """Hand over what waits."""
        while self.waiting and self.is_open and not self.transport.is_paused:
            self.connection.data_received(self.waiting.popleft())

    def cut(self) -> None:
        """Vanish."""
        if self.is_open:
            self.transport.is_closed = True
            self.connection.connection_lost(ConnectionResetError("cut"))

    def end(self) -> None:
        """Close our side, as a client does that has said all."""
        if self.is_open and not self.connection.eof_received():
            self.transport.close()

    def raw(self) -> bytes:
        """Return what the broker has written, as it is."""
        found = bytes(self.unread)
        self.unread.clear()
        if self.transport.is_full:
            self.transport.is_full = False
            if self.is_open:
                self.loop.call_soon(self.connection.resume_writing)
        return found

    def packets(self) -> list[Packet]:
        """Return the packets that the broker has written; each must be one that it may send."""
        return parsed(self.raw(), self.version)


def parsed(data: bytes, version: int) -> list[Packet]:
    """Return the packets in a broker's output, which must be whole."""
    found = []
    at = 0
    while at < len(data):
        size = shift = 0
        start = at
        at += 1
        while True:
            digit = data[at]
            at += 1
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        assert at + size <= len(data), f"a packet cut short: {data[start:][:40]!r}"
        found.append(read(data[start], data[at : at + size], version))
        at += size
    return found


class PipeBroker:
    """A broker on a loop of its own that runs only when it is told to."""

    def __init__(self, limits: Limits | None = None, *, is_durable: bool = False) -> None:
        """`is_durable`: with a journal (in memory), so that it can `crash`."""
        self.loop = asyncio.new_event_loop()
        self.errors: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _loop, context: self.errors.append(context))
        self.clock_s = 1000.0
        self.limits = limits
        self.journal = MemoryJournal(self.loop) if is_durable else None
        self.broker = self._made()

    def _made(self) -> Broker:
        broker = Broker(authenticate, limits=self.limits, version="test", journal=self.journal)
        broker.now = lambda: self.clock_s
        return broker

    def crash(self) -> None:
        """Lose the process, and start another on what is durable; every connection is gone."""
        assert self.journal is not None
        self.broker = self._made()
        found = self.journal.found()
        self.within(lambda: self.broker.restore(found, lambda key: PRINCIPALS.get(key.identity)))
        self.pass_s(0)

    def pipe(self, version: int = 4) -> Pipe:
        """Open a connection."""
        return self.within(lambda: Pipe(self, version))

    def within(self, call: Any) -> Any:
        """Run something on the loop, and then the loop until it is idle."""

        async def run() -> Any:
            result = call()
            for _ in range(MOST_TURNS):
                await asyncio.sleep(0)
                if not getattr(self.loop, "_ready", None):
                    break
            return result

        result = self.loop.run_until_complete(run())
        assert not self.errors, self.errors
        return result

    def send(self, pipe: Pipe, *pieces: bytes) -> None:
        """Have a client send pieces, and the broker do what follows."""
        self.within(lambda: pipe.send(*pieces))

    def pass_s(self, seconds: float) -> None:
        """Let time pass, and have the broker look."""
        self.clock_s += seconds
        self.within(lambda: self.broker.sweep(self.clock_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        try:
            self.within(self.broker.close)
        finally:
            self.loop.close()
