"""A transport that knows more of its peer than the socket says: what a proxy told, or the kernel's credentials.

`Introduction` stands in a connection's place only until the socket is made; then the connection itself reads from it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

Known = Mapping[str, Any]
"""Answers of `get_extra_info` that stand before the socket's own: `peername`, `gateway.uid`, `gateway.certificate`."""


class IntroducedTransport(asyncio.Transport):
    """Another transport, with some of its extra information replaced."""

    __slots__ = ("_inner", "_known")

    def __init__(self, inner: asyncio.Transport, known: Known) -> None:
        super().__init__()
        self._inner = inner
        self._known = known

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known, else what the socket says."""
        if name in self._known:
            return self._known[name]
        return self._inner.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol read from the socket."""
        self._inner.set_protocol(protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        self._inner.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send bytes in order."""
        self._inner.writelines(list_of_data)

    def write_eof(self) -> None:
        """Say that nothing more comes."""
        self._inner.write_eof()

    def can_write_eof(self) -> bool:
        """Return whether that can be said (not over TLS)."""
        return self._inner.can_write_eof()

    def close(self) -> None:
        """Close once everything is sent."""
        self._inner.close()

    def abort(self) -> None:
        """Close now."""
        self._inner.abort()

    def is_closing(self) -> bool:
        """Return whether it closes or is closed."""
        return self._inner.is_closing()

    def is_reading(self) -> bool:
        """Return whether input is taken."""
        return self._inner.is_reading()

    def pause_reading(self) -> None:
        """Take no input."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """Take input again."""
        self._inner.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Return the unsent bytes."""
        return self._inner.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told that the peer is slow, and that it has caught up (bytes)."""
        self._inner.set_write_buffer_limits(high, low)


class Introduction(asyncio.Protocol):
    """Hands a new socket over to a protocol, with what `introduce(transport)` knows of the peer."""

    def __init__(
        self, protocol: asyncio.Protocol, introduce: Callable[[asyncio.Transport], Known]
    ) -> None:
        self._protocol = protocol
        self._introduce = introduce

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce the peer; from here on the protocol reads from the socket itself."""
        # Not asserted: uvloop's transports are no subclasses of asyncio's.
        socket = cast("asyncio.Transport", transport)
        socket.set_protocol(self._protocol)
        self._protocol.connection_made(IntroducedTransport(socket, self._introduce(socket)))
