"""One MQTT connection to a parent: paho-mqtt carries the frames, the event loop drives its socket.

paho connects and shakes hands by blocking, so both are done here and it is handed a socket that is ready.
The certificate is compared in this very handshake: who holds its key is the parent, whatever its name says.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.errors import BadTokenError, GatewayError, ParentUnreachableError
from gateway.uplink.certificate import fingerprint, key_pin

if TYPE_CHECKING:
    from paho.mqtt.client import Client

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 30
MISC_EVERY_S = 10.0  # paho looks at its keep-alive only when asked
REFUSED_CODES = (134, 135)  # paho's names for CONNACK 4 (bad credentials) and 5 (not authorised)


@dataclass(frozen=True, slots=True)
class Dial:
    """Whom to call, and as whom."""

    host: str
    port: int
    fingerprint: str | None
    node: str
    client_id: str
    password: str = field(repr=False)
    keep_alive_s: int = KEEPALIVE_S

    @property
    def text(self) -> str:
        """Return "host:port"."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Wire:
    """An open connection; `on_frame(payload)` for what comes, `on_lost(reason)` once at its end."""

    def __init__(
        self, dial: Dial, on_frame: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        self._dial = dial
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._client: Client | None = None
        self._ready: asyncio.Future[None] | None = None
        self._misc: asyncio.TimerHandle | None = None
        self._readers: set[Any] = set()

    async def connect(self) -> None:
        """Connect, log in, subscribe; raises ParentUnreachableError, BadTokenError, GatewayError (GW-1607)."""
        self._ready = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                sock = await _open(self._dial)
                self._client = _client(self._dial, sock)
                self._bind(self._client)
                self._client.reconnect()
                await self._ready
        except (OSError, TimeoutError) as error:
            self.close("")
            raise _unreachable(self._dial, str(error) or "no answer in time") from error
        except BaseException:
            self.close("")
            raise
        self._keep_alive()

    def send(self, payload: bytes) -> None:
        """Send one frame; what cannot leave ends the connection, and is offered again on the next."""
        if self._client is not None:
            self._client.publish(f"$gateway/1/{self._dial.node}/up", payload, qos=0)

    def close(self, reason: str) -> None:
        """Close now; `on_lost` is told if there is a reason."""
        client, self._client = self._client, None
        if self._misc is not None:
            self._misc.cancel()
        if client is None:
            return
        sock = client.socket()
        client.on_disconnect = None
        with contextlib.suppress(OSError, ValueError):
            client.disconnect()
        if sock is not None:
            self._unwatch(sock)
            with contextlib.suppress(OSError):
                sock.close()
        if reason:
            self._on_lost(reason)

    def _bind(self, client: "Client") -> None:
        loop = asyncio.get_running_loop()
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._resolve(None)
        client.on_message = lambda _client, _userdata, message: self._on_frame(
            bytes(message.payload)
        )
        client.on_disconnect = self._disconnected

        def opened(_client: Any, _userdata: Any, sock: Any) -> None:
            self._readers.add(sock)
            loop.add_reader(sock, self._read, sock)

        def closed(_client: Any, _userdata: Any, sock: Any) -> None:
            self._unwatch(sock)

        def wants(_client: Any, _userdata: Any, sock: Any) -> None:
            loop.add_writer(sock, client.loop_write)

        def wants_not(_client: Any, _userdata: Any, sock: Any) -> None:
            if sock in self._readers:
                loop.remove_writer(sock)

        client.on_socket_open = opened
        client.on_socket_close = closed
        client.on_socket_register_write = wants
        client.on_socket_unregister_write = wants_not

    def _unwatch(self, sock: Any) -> None:
        if sock in self._readers:
            self._readers.discard(sock)
            loop = asyncio.get_running_loop()
            loop.remove_reader(sock)
            loop.remove_writer(sock)

    def _read(self, sock: Any) -> None:
        client = self._client
        if client is None:
            return
        client.loop_read()
        # TLS decrypts whole records: what is left in its buffer never makes the socket readable.
        while self._client is client and isinstance(sock, ssl.SSLSocket) and sock in self._readers:
            if not sock.pending():
                break
            client.loop_read()

    def _connected(self, client: Any, _userdata: Any, _flags: Any, code: Any, _props: Any) -> None:
        if not code.is_failure:
            client.subscribe(f"$gateway/1/{self._dial.node}/down", qos=0)
        elif code.value in REFUSED_CODES:
            self._resolve(
                BadTokenError(
                    f"the parent at {self._dial.text} does not accept this gateway's token or code",
                    code="GW-1609",
                    hint="ask for a new line at the parent (`gateway mesh invite`), then `gateway join LINE`",
                )
            )
        else:
            self._resolve(_unreachable(self._dial, str(code)))

    def _disconnected(
        self, _client: Any, _userdata: Any, _flags: Any, code: Any, _props: Any
    ) -> None:
        if self._ready is not None and not self._ready.done():
            self._resolve(_unreachable(self._dial, f"it hung up: {code}"))
        elif self._client is not None:
            self.close(f"connection lost: {code}")

    def _resolve(self, error: GatewayError | None) -> None:
        if self._ready is None or self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _keep_alive(self) -> None:
        client = self._client
        if client is not None:
            client.loop_misc()
            self._misc = asyncio.get_running_loop().call_later(MISC_EVERY_S, self._keep_alive)


def _client(dial: Dial, ready: socket.socket) -> "Client":
    # Imported here: only a node with a parent pays for it.
    import paho.mqtt.client as mqtt  # noqa: PLC0415
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415

    class ReadyClient(mqtt.Client):
        """paho on a socket that is connected already."""

        def _create_socket(self) -> socket.socket:
            return ready

    client = ReadyClient(
        CallbackAPIVersion.VERSION2,
        client_id=dial.client_id,
        clean_session=True,
        protocol=MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    client.username_pw_set(dial.node, dial.password)
    client.connect_async(dial.host, dial.port, keepalive=dial.keep_alive_s)
    return client


async def _open(dial: Dial) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(dial.host, dial.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for family, kind, proto, _, address in found:
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if dial.fingerprint is None else await _secured(sock, dial)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise failure


async def _secured(sock: socket.socket, dial: Dial) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the fingerprint below is the check, and the only one
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    secured = context.wrap_socket(sock, do_handshake_on_connect=False)
    try:
        while True:
            try:
                secured.do_handshake()
                break
            except ssl.SSLWantReadError:
                await _until(secured, asyncio.get_running_loop().add_reader)
            except ssl.SSLWantWriteError:
                await _until(secured, asyncio.get_running_loop().add_writer)
        _check(secured, dial)
    except BaseException:
        secured.close()
        raise
    return secured


def _check(secured: ssl.SSLSocket, dial: Dial) -> None:
    der = secured.getpeercert(binary_form=True) or b""
    shown = key_pin(der)
    # Parents of before the CA were agreed on by their whole certificate, newer ones by its key.
    if dial.fingerprint not in (shown, fingerprint(der)):
        raise GatewayError(
            f"the parent at {dial.text} shows another certificate (key {shown[:16]}...)",
            code="GW-1607",
            hint="if the parent was set up anew, join again with a new line; if not, somebody is in between",
        )


async def _until(sock: ssl.SSLSocket, watch: Callable[..., Any]) -> None:
    loop = asyncio.get_running_loop()
    turned: asyncio.Future[None] = loop.create_future()
    watch(sock, lambda: None if turned.done() else turned.set_result(None))
    try:
        await turned
    finally:
        loop.remove_reader(sock)
        loop.remove_writer(sock)


def _unreachable(dial: Dial, why: str) -> ParentUnreachableError:
    return ParentUnreachableError(
        f"the parent at {dial.text} cannot be reached: {why}",
        code="GW-1608",
        hint="check the network and that the parent runs; the gateway tries again by itself",
    )
