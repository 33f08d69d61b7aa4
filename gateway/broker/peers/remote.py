"""The far end of a bridge: one connection of paho-mqtt to the other broker, in the dialect that it speaks."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.broker.peers.refusals import Dial, NotSpokenError, insecure, refused, unreachable
from gateway.broker.peers.rules import Wanted
from gateway.broker.peers.speech import (
    Dialect,
    Peer,
    client_of,
    options_of,
    packet_of,
    peer_of,
    words_of,
)
from gateway.errors import GatewayError
from gateway.mqtt import properties as props
from gateway.mqtt.client_packets import PublishPacket
from gateway.mqtt.reasons import UNSPECIFIED_ERROR, ProtocolViolation
from gateway.runtime.paho_loop import Driver, open_socket

if TYPE_CHECKING:
    from paho.mqtt.client import Client

CONNECT_S = 15.0
MOST_UNSENT_BYTES = 256 << 10  # then the other broker is slow
MISC_SHARE = 0.25  # of the keep-alive: paho looks that often


@dataclass(frozen=True, slots=True)
class RemoteEvents:
    """What a bridge is told by its far end."""

    published: Callable[[PublishPacket], None]
    acked: Callable[[int, int], None]  # number, reason
    lost: Callable[[str], None]
    slow: Callable[[bool], None]
    refused: Callable[[str, int], None]  # filter, reason


class RemoteLeg:
    """One connection; made anew for each try."""

    def __init__(self, dial: Dial, dialect: Dialect, events: RemoteEvents) -> None:
        self._dial = dial
        self._dialect = dialect
        self._events = events
        self._client: Client | None = None
        self._driver: Driver | None = None
        self._ready: asyncio.Future[Peer] | None = None
        self._subscribing: dict[int, list[str]] = {}
        self._unsent_bytes = 0
        self._is_slow = False
        self._is_up = False  # logged in: a loss from then on ends the bridge's connection

    async def connect(self) -> Peer:
        """Connect and log in; nothing is read before `start`. Raises GatewayError (GW-1141 to GW-1144)."""
        dial = self._dial
        self._ready = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(CONNECT_S):
                sock = await open_socket(dial.host, dial.port, dial.context)
                self._client = client = client_of(dial, self._dialect, sock)
                self._bind(client)
                self._driver = Driver(
                    client,
                    self._lost,
                    misc_s=dial.keep_alive_s * MISC_SHARE,
                    on_drained=self._drained,
                )
                self._driver.start()
                return await self._ready
        except ssl.SSLError as error:
            self.close()
            raise insecure(dial, error) from error
        except (OSError, TimeoutError) as error:
            self.close()
            raise unreachable(dial, str(error) or "no answer in time") from error
        except BaseException:
            self.close()
            raise

    def start(self, wanted: Iterable[Wanted]) -> None:
        """Subscribe, and begin to read."""
        assert self._client is not None
        assert self._driver is not None
        for each in wanted:
            if self._dialect.version == 5:
                _, number = self._client.subscribe(each.pattern, options=options_of(each))
            else:
                _, number = self._client.subscribe(each.pattern, each.qos)
            self._subscribing[number or 0] = [each.pattern]
        self._driver.resume()

    def size_of(self, packet: PublishPacket) -> int:
        """Return how large a PUBLISH is at most."""
        said = len(props.encode(packet.properties)) if self._dialect.version == 5 else 0
        return 5 + 2 + len(packet.topic.encode()) + 2 + said + len(packet.payload)

    def publish(self, packet: PublishPacket) -> int:
        """Publish; returns the number that `acked` names for QoS 1, 0 when the connection is lost."""
        client = self._client
        if client is None:
            return 0
        said = None
        if packet.properties and self._dialect.version == 5:
            said = words_of(packet.properties)
        info = client.publish(packet.topic, packet.payload, packet.qos, packet.retain, said)
        self._unsent_bytes += len(packet.payload) + len(packet.topic)
        if self._unsent_bytes > MOST_UNSENT_BYTES and not self._is_slow:
            self._is_slow = True
            self._events.slow(True)
        return info.mid

    @property
    def is_slow(self) -> bool:
        """Return whether the other broker does not take what was sent."""
        return self._is_slow

    def ack(self, number: int) -> None:
        """Acknowledge a message of the other broker."""
        if self._client is not None:
            self._client.ack(number, 1)

    def pause(self) -> None:
        """Take no more messages for now."""
        if self._driver is not None:
            self._driver.pause()

    def resume(self) -> None:
        """Take messages again."""
        if self._driver is not None:
            self._driver.resume()

    def close(self) -> None:
        """Leave, tidily where the line still stands."""
        driver, self._driver, self._client = self._driver, None, None
        if driver is not None:
            driver.close()

    # ---- paho's callbacks ----

    def _bind(self, client: "Client") -> None:
        client.on_connect = self._connected
        client.on_message = self._message
        client.on_publish = lambda _c, _u, number, code, _p: self._events.acked(number, code.value)
        client.on_subscribe = self._subscribed
        client.on_disconnect = lambda _c, _u, _flags, code, _p: self._lost(str(code))

    def _connected(self, _client: Any, _userdata: Any, flags: Any, code: Any, said: Any) -> None:
        if code.is_failure:
            text = getattr(said, "ReasonString", None) or str(code)
            self._fail(refused(self._dial, code.value, text))
            return
        assert self._driver is not None
        self._is_up = True
        keep_alive_s = getattr(said, "ServerKeepAlive", self._dial.keep_alive_s)  # its word counts
        if 0 < keep_alive_s < self._dial.keep_alive_s:
            self._driver.look_every(keep_alive_s * MISC_SHARE)
        self._driver.pause()  # what the broker kept for us comes now, and the near end is not open yet
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(peer_of(self._dialect, said, is_present=flags.session_present))

    def _message(self, _client: Any, _userdata: Any, message: Any) -> None:
        try:
            self._events.published(packet_of(message))
        except (ProtocolViolation, UnicodeDecodeError):
            self._lost("a message that breaks the standard")

    def _subscribed(
        self, _client: Any, _userdata: Any, number: int, codes: Any, _properties: Any
    ) -> None:
        for pattern, code in zip(self._subscribing.pop(number, ()), codes, strict=False):
            if code.value >= UNSPECIFIED_ERROR:
                self._events.refused(pattern, code.value)

    def _lost(self, why: str) -> None:
        if self._ready is not None and not self._ready.done():
            text = f"bridge {self._dial.bridge}: {self._dial.text} hung up on CONNECT: {why}"
            hint = "look into that broker's log; it names who was refused, and why"
            self._fail(NotSpokenError(text, code="GW-1144", hint=hint))
        elif self._is_up and self._client is not None:
            self._events.lost(why)

    def _fail(self, error: GatewayError) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)

    def _drained(self) -> None:
        self._unsent_bytes = 0
        if self._is_slow:
            self._is_slow = False
            self._events.slow(False)
