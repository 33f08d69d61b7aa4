"""One MQTT connection to a parent: paho-mqtt carries the frames, the event loop drives its socket.

The certificate is compared in this very handshake: who holds its key is the parent, whatever its name says.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.errors import BadTokenError, GatewayError, ParentUnreachableError
from gateway.runtime.paho_loop import Driver, open_socket, ready_client
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
        self._driver: Driver | None = None

    async def connect(self) -> None:
        """Connect, log in, subscribe; raises ParentUnreachableError, BadTokenError, GatewayError (GW-1607)."""
        self._ready = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._client = _client(self._dial, await _open(self._dial))
                self._bind(self._client)
                self._driver = Driver(self._client, self._lost, misc_s=MISC_EVERY_S)
                self._driver.start()
                await self._ready
        except (OSError, TimeoutError) as error:
            self.close("")
            raise _unreachable(self._dial, str(error) or "no answer in time") from error
        except BaseException:
            self.close("")
            raise

    def send(self, payload: bytes) -> None:
        """Send one frame; what cannot leave ends the connection, and is offered again on the next."""
        if self._client is not None:
            self._client.publish(f"$gateway/1/{self._dial.node}/up", payload, qos=0)

    def close(self, reason: str) -> None:
        """Close now; `on_lost` is told if there is a reason."""
        driver, self._driver, self._client = self._driver, None, None
        if driver is None:
            return
        driver.close()
        if reason:
            self._on_lost(reason)

    def _bind(self, client: "Client") -> None:
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._resolve(None)
        client.on_message = lambda _client, _userdata, message: self._on_frame(
            bytes(message.payload)
        )
        client.on_disconnect = lambda _c, _u, _flags, code, _p: self._lost(str(code))

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

    def _lost(self, why: str) -> None:
        if self._ready is not None and not self._ready.done():
            self._resolve(_unreachable(self._dial, f"it hung up: {why}"))
        elif self._client is not None:
            self.close(f"connection lost: {why}")

    def _resolve(self, error: GatewayError | None) -> None:
        if self._ready is None or self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)


def _client(dial: Dial, ready: socket.socket) -> "Client":
    from paho.mqtt.enums import MQTTProtocolVersion  # noqa: PLC0415 - only a node with a parent pays

    client = ready_client(
        ready,
        client_id=dial.client_id,
        clean_session=True,
        protocol=MQTTProtocolVersion.MQTTv311,
    )
    client.username_pw_set(dial.node, dial.password)
    client.connect_async(dial.host, dial.port, keepalive=dial.keep_alive_s)
    return client


async def _open(dial: Dial) -> socket.socket:
    context = None if dial.fingerprint is None else _context()
    sock = await open_socket(dial.host, dial.port, context)
    if isinstance(sock, ssl.SSLSocket):
        try:
            _check(sock, dial)
        except BaseException:
            sock.close()
            raise
    return sock


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # `_check` is the check, and the only one
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


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


def _unreachable(dial: Dial, why: str) -> ParentUnreachableError:
    return ParentUnreachableError(
        f"the parent at {dial.text} cannot be reached: {why}",
        code="GW-1608",
        hint="check the network and that the parent runs; the gateway tries again by itself",
    )
