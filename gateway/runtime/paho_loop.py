"""paho-mqtt on the event loop: it is handed a socket that is ready, and the loop watches that for it.

paho connects and shakes hands by blocking, so both are done here, without a thread.  Whoever uses a `Driver` sets
the client's callbacks, calls `start` and, at the end, `close`.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paho.mqtt.client import Client

MOST_PACKETS = 50  # read from TLS's buffer before others have a turn


async def open_socket(
    host: str, port: int, context: ssl.SSLContext | None = None
) -> socket.socket | ssl.SSLSocket:
    """Connect, and shake hands where a context is given; raises OSError (ssl.SSLError is one)."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for family, kind, proto, _, address in found:
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if context is None else await _secured(sock, context, host)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure


async def _secured(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    loop = asyncio.get_running_loop()
    secured = context.wrap_socket(sock, do_handshake_on_connect=False, server_hostname=host)
    try:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await _until(secured, loop.add_reader)
            except ssl.SSLWantWriteError:
                await _until(secured, loop.add_writer)
            else:
                return secured
    except BaseException:
        secured.close()
        raise


async def _until(sock: ssl.SSLSocket, watch: Callable[..., Any]) -> None:
    loop = asyncio.get_running_loop()
    turned: asyncio.Future[None] = loop.create_future()
    watch(sock, lambda: None if turned.done() else turned.set_result(None))
    try:
        await turned
    finally:
        loop.remove_reader(sock)
        loop.remove_writer(sock)


def ready_client(ready: socket.socket, **options: Any) -> "Client":
    """Return a paho client (its options are paho's) that takes this socket instead of connecting."""
    # Imported here: only a node that calls somebody pays for it.
    import paho.mqtt.client as mqtt  # noqa: PLC0415
    from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415

    class ReadyClient(mqtt.Client):
        """paho on a socket that is connected already."""

        def _create_socket(self) -> socket.socket:
            return ready

    return ReadyClient(CallbackAPIVersion.VERSION2, reconnect_on_failure=False, **options)


class Driver:
    """Reads and writes for one client; `on_broken(reason)` when what came cannot be read."""

    def __init__(
        self,
        client: "Client",
        on_broken: Callable[[str], None],
        *,
        misc_s: float,
        on_drained: Callable[[], None] = lambda: None,
    ) -> None:
        """`misc_s` is how often paho looks at its keep-alive; `on_drained`: all was given to the system."""
        self._client = client
        self._on_broken = on_broken
        self._on_drained = on_drained
        self._misc_s = misc_s
        self._misc: asyncio.TimerHandle | None = None
        self._sock: Any = None
        self._is_reading = False

    def start(self) -> None:
        """Send CONNECT and begin to read."""
        loop = asyncio.get_running_loop()
        client = self._client

        def opened(_client: Any, _userdata: Any, sock: Any) -> None:
            self._sock = sock
            self.resume()

        def closed(_client: Any, _userdata: Any, _sock: Any) -> None:
            self._unwatch()

        def wants(_client: Any, _userdata: Any, sock: Any) -> None:
            loop.add_writer(sock, self._write)

        def wants_not(_client: Any, _userdata: Any, sock: Any) -> None:
            if self._sock is not None:
                loop.remove_writer(sock)
                self._on_drained()

        client.on_socket_open = opened
        client.on_socket_close = closed
        client.on_socket_register_write = wants
        client.on_socket_unregister_write = wants_not
        client.reconnect()
        self._look()

    def look_every(self, misc_s: float) -> None:
        """Let paho look at its keep-alive as often as the other side turned out to want."""
        self._misc_s = misc_s
        if self._misc is not None:
            self._misc.cancel()
        self._look()

    def pause(self) -> None:
        """Read no further packets."""
        if self._is_reading:
            self._is_reading = False
            asyncio.get_running_loop().remove_reader(self._sock)

    def resume(self) -> None:
        """Read on."""
        if self._is_reading or self._sock is None:
            return
        self._is_reading = True
        loop = asyncio.get_running_loop()
        loop.add_reader(self._sock, self._read)
        if isinstance(self._sock, ssl.SSLSocket):  # what is decrypted already wakes no selector
            loop.call_soon(self._read)

    def close(self) -> None:
        """Say goodbye as far as the socket takes it, and close it; no callback comes any more."""
        client = self._client
        client.on_disconnect = client.on_message = client.on_publish = client.on_connect = None
        if self._misc is not None:
            self._misc.cancel()
        sock = client.socket()
        with contextlib.suppress(OSError, ValueError):
            client.disconnect()
            client.loop_write()
        self._unwatch()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def _unwatch(self) -> None:
        sock, self._sock = self._sock, None
        self._is_reading = False
        if sock is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(sock)
            loop.remove_writer(sock)

    def _read(self) -> None:
        for _ in range(MOST_PACKETS):
            if not self._is_reading:
                return
            self._guarded(self._client.loop_read)
            # TLS decrypts whole records: what is left in its buffer never makes the socket readable.
            sock = self._sock
            if not isinstance(sock, ssl.SSLSocket) or not self._is_reading or not sock.pending():
                return
        asyncio.get_running_loop().call_soon(self._read)

    def _write(self) -> None:
        self._guarded(self._client.loop_write)

    def _guarded(self, step: Callable[[], object]) -> None:
        """Take a step; paho raises on some packets that it cannot read, and would be asked again for ever."""
        from paho.mqtt.exception import MQTTException  # noqa: PLC0415 - as above

        try:
            step()
        except (ValueError, LookupError, struct.error, MQTTException) as error:
            self._on_broken(f"a packet that cannot be read: {error}")

    def _look(self) -> None:
        if self._client.socket() is not None:
            self._client.loop_misc()
        self._misc = asyncio.get_running_loop().call_later(self._misc_s, self._look)
