"""A transport without a socket: code in this process is a client of the broker, byte for byte as others are.

Both directions wait for the next turn of the loop, so neither side is ever called from within its own call.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class LoopbackTransport(asyncio.Transport):
    """What the broker writes to, and what feeds it."""

    def __init__(
        self,
        protocol: asyncio.Protocol,
        name: str,
        on_bytes: Callable[[bytes], None],
        on_closed: Callable[[], None],
    ) -> None:
        """`on_bytes` gets what the broker writes, `on_closed` is called once when the broker closes."""
        super().__init__({"peername": f"in-process {name}"})
        self._protocol = protocol
        self._on_bytes = on_bytes
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._to_us: list[bytes] = []
        self._to_broker: list[bytes] = []
        self._turn: asyncio.Handle | None = None
        self._is_closing = self._is_leaving = self._is_over = False
        self._is_paused = False
        self.on_readable: Callable[[], None] = lambda: None
        """Called when the broker reads again after it paused."""

    # ---- our side ----

    def open(self) -> None:
        """Tell the broker of its new connection."""
        self._protocol.connection_made(self)

    def send(self, data: bytes) -> None:
        """Hand bytes to the broker, in the next turn."""
        if not self._is_closing:
            self._to_broker.append(data)
            self._schedule()

    def leave(self) -> None:
        """Close once the broker has what was sent, unless it takes nothing now."""
        self._is_leaving = True
        self._schedule()

    @property
    def is_full(self) -> bool:
        """Return whether the broker does not read now."""
        return self._is_paused

    # ---- the broker's side ----

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes for us."""
        if not self._is_closing:
            self._to_us.append(bytes(data))
            self._schedule()

    def close(self) -> None:
        """Close once everything written was handed over."""
        if not self._is_closing:
            self._is_closing = True
            self._to_broker.clear()
            self._schedule()

    def abort(self) -> None:
        """Close and forget what was written."""
        self._to_us.clear()
        self.close()

    def is_closing(self) -> bool:
        """Return whether it is closed, or about to be."""
        return self._is_closing

    def pause_reading(self) -> None:
        """Give the broker nothing for now."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Give the broker what waited."""
        self._is_paused = False
        self._schedule()
        self.on_readable()

    def is_reading(self) -> bool:
        """Return whether the broker takes bytes."""
        return not (self._is_paused or self._is_closing)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes we have not taken yet."""
        return sum(map(len, self._to_us))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: our side takes everything within a turn, and bounds it by its receive maximum."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Refuse: a connection keeps its protocol."""
        raise NotImplementedError

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the broker's connection."""
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return who we are; there is neither socket nor certificate."""
        return super().get_extra_info(name, default)

    # ---- turns ----

    def _schedule(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        if self._to_us:
            data = b"".join(self._to_us)
            self._to_us.clear()
            self._on_bytes(data)
        if self._to_broker and not self._is_paused and not self._is_closing:
            data = b"".join(self._to_broker)
            self._to_broker.clear()
            self._protocol.data_received(data)
        self._is_closing |= self._is_leaving
        if self._is_closing and not self._is_over:
            self._is_over = True
            self._protocol.connection_lost(None)
            self._on_closed()
