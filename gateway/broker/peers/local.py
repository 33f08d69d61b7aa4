"""The near end of a bridge: an MQTT 5 client of our own broker, in this process, with a kept session.

What the other broker is to get waits in that session, so it is as durable as the broker's journal.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from gateway.broker.entrance import Entrance
from gateway.broker.peers.loopback import LoopbackTransport
from gateway.broker.peers.rules import Wanted
from gateway.broker.server import Broker
from gateway.errors import BrokerDownError, GatewayError
from gateway.mqtt import client_packets, properties
from gateway.mqtt.client_packets import PublishPacket
from gateway.mqtt.connect_packet import Connect
from gateway.mqtt.packets import ack, parse_ack, split
from gateway.mqtt.ports import Principal
from gateway.mqtt.reasons import ProtocolViolation

CONNECT_S = 10.0
KEPT_S = 7 * 86_400
MOST_PACKET_BYTES = 268_435_455  # what the broker sends us has passed its own limit
NO_LOCAL, AS_PUBLISHED, NO_RETAINED = 4, 8, 2 << 4  # subscription options (MQTT 5.0, 3.8.3.1)
PING_S = 30.0

Done = Callable[[int], None]
"""Gets the reason code of our broker's PUBACK."""


@dataclass(frozen=True, slots=True)
class LocalEvents:
    """What a bridge is told by its near end."""

    published: Callable[[PublishPacket], None]
    lost: Callable[[str], None]
    readable: Callable[[], None]  # our broker takes messages again


class LocalLeg:
    """One connection; `window` is how many messages may be on their way to the other broker."""

    def __init__(
        self, broker: Broker, who: Principal, client_id: str, window: int, events: LocalEvents
    ) -> None:
        self._events = events
        self._connection = broker.accept(Entrance(who.name, preset=who))
        self._transport = LoopbackTransport(
            self._connection, who.name, self._received, self._closed
        )
        self._transport.on_readable = events.readable
        self._client_id = client_id
        self._window = window
        self._tail = b""
        self._answer: asyncio.Future[client_packets.Connack] | None = None
        self._ping: asyncio.TimerHandle | None = None
        self._last_id = 0
        self._inflight: dict[int, Done] = {}
        self._waiting: deque[tuple[PublishPacket, Done]] = deque()
        self._receive_maximum = 0xFFFF
        self._is_open = True
        self.most_bytes = MOST_PACKET_BYTES

    async def connect(self) -> None:
        """Log in; raises BrokerDownError GW-1146. What waited in the session comes from now on."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.open()
        asked = Connect(
            client_id=self._client_id,
            clean_start=False,
            keep_alive_s=0,
            will=None,
            username=None,
            password=None,
            version=5,
            expiry_s=KEPT_S,
            receive_maximum=self._window,
        )
        self._transport.send(client_packets.connect(asked))
        try:
            async with asyncio.timeout(CONNECT_S):
                answer = await self._answer
        except TimeoutError as error:
            raise _refused(self._client_id, "no answer in time") from error
        if answer.code:
            reason = answer.properties.get(properties.REASON_STRING, f"reason {answer.code:#04x}")
            raise _refused(self._client_id, reason)
        self._receive_maximum = answer.properties.get(properties.RECEIVE_MAXIMUM, 0xFFFF)
        self.most_bytes = answer.properties.get(properties.MAXIMUM_PACKET_SIZE, MOST_PACKET_BYTES)
        self._keep_alive()

    def subscribe(self, wanted: Iterable[Wanted], *, replay: frozenset[str]) -> set[str]:
        """Subscribe to these filters, and no longer to others; return those that the session did not have.

        Retained messages come only for those in `replay`.
        """
        session = self._connection.session
        had = set(session.subscriptions) if session is not None else set()
        options = {
            each.pattern: each.qos
            | NO_LOCAL
            | AS_PUBLISHED
            | (0 if each.pattern in replay else NO_RETAINED)
            for each in wanted
        }
        stale = sorted(had - set(options))
        if stale:
            self._transport.send(client_packets.unsubscribe(self._next_id(), stale, 5))
        if options:
            asked = list(options.items())
            self._transport.send(client_packets.subscribe(self._next_id(), asked, 5))
        return set(options) - had

    def publish(self, packet: PublishPacket, done: Done) -> None:
        """Publish; `done(reason)` follows our broker's PUBACK, for QoS 0 it is never called."""
        if not packet.qos:
            self._transport.send(client_packets.publish(packet, 5))
        elif len(self._inflight) >= self._receive_maximum:
            self._waiting.append((packet, done))
        else:
            self._send(packet, done)

    def ack(self, number: int) -> None:
        """Acknowledge a message of our broker."""
        self._transport.send(ack(0x40, number))

    @property
    def unanswered(self) -> int:
        """Return how many published messages our broker has not acknowledged."""
        return len(self._inflight) + len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Return whether our broker takes nothing now."""
        return self._transport.is_full

    def slow(self, *, is_slow: bool) -> None:
        """Tell our broker whether the other one falls behind: QoS 0 is dropped meanwhile, QoS 1 waits."""
        if is_slow:
            self._connection.pause_writing()
        else:
            self._connection.resume_writing()

    def close(self) -> None:
        """Leave; the session is kept."""
        if self._ping is not None:
            self._ping.cancel()
        if self._is_open:
            self._is_open = False
            self._transport.send(client_packets.LEAVE)
            self._transport.leave()

    def _send(self, packet: PublishPacket, done: Done) -> None:
        number = self._next_id()
        self._inflight[number] = done
        self._transport.send(client_packets.publish(replace(packet, number=number, dup=False), 5))

    def _next_id(self) -> int:
        number = self._last_id % 65535 + 1
        while number in self._inflight:
            number = number % 65535 + 1
        self._last_id = number
        return number

    def _keep_alive(self) -> None:
        self._transport.send(client_packets.PINGREQ)  # our broker may ask for a keep-alive
        self._ping = asyncio.get_running_loop().call_later(PING_S, self._keep_alive)

    def _closed(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(_refused(self._client_id, "it hung up"))
        if self._is_open:
            self.close()
            self._events.lost("our own broker closed the bridge's session")

    def _received(self, data: bytes) -> None:
        data = self._tail + data
        frames, used, _ = split(data, MOST_PACKET_BYTES)
        self._tail = data[used:]
        try:
            for first, _, body, end in frames:
                self._handle(data, first, body, end)
        except ProtocolViolation as error:  # a bug of ours: the bridge starts anew
            self._transport.abort()
            self._events.lost(error.text)

    def _handle(self, data: bytes, first: int, body: int, end: int) -> None:
        kind = first >> 4
        if kind == 3:
            if self._is_open:
                self._events.published(client_packets.parse_publish(data, first, body, end, 5))
        elif kind == 4:
            number, reason = parse_ack(data, body, end, 5)
            done = self._inflight.pop(number, None)
            if done is not None:
                done(reason)
            while self._waiting and len(self._inflight) < self._receive_maximum:
                self._send(*self._waiting.popleft())
        elif kind == 2 and self._answer is not None and not self._answer.done():
            self._answer.set_result(client_packets.parse_connack(data, body, end, 5))
        elif kind == 14 and self._is_open:
            reason, text = client_packets.parse_dismissal(data, body, end)
            self.close()
            self._events.lost(f"our own broker ended the session: {text or hex(reason)}")


def _refused(client_id: str, why: str) -> GatewayError:
    return BrokerDownError(
        f"our own broker did not let the bridge {client_id!r} in: {why}",
        code="GW-1146",
        hint="raise the connection limit in [mqtt.limits] if it is reached; else this is a bug, please report it",
    )
