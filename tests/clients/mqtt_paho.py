"""paho-mqtt in its own thread; what it saw comes over to the test's event loop."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Any, ClassVar

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.clients.mqtt_wire import (
    SECONDS,
    V5,
    V31,
    V311,
    Message,
    RefusedError,
    Seen,
    Session,
    Target,
    Want,
)
from tests.fakes.waiting import eventually

WINDOW = 100
KINDS = {"tcp": "tcp", "tls": "tcp", "ws": "websockets", "wss": "websockets", "unix": "unix"}


class PahoClient:
    """The Python client most people have."""

    name: ClassVar[str] = "paho"
    title: ClassVar[str] = "paho-mqtt (Python)"
    versions: ClassVar[tuple[int, ...]] = (V31, V311, V5)
    transports: ClassVar[frozenset[str]] = frozenset({"tcp", "tls", "ws", "wss", "unix"})
    can: ClassVar[frozenset[str]] = frozenset(
        {"stays away", "present", "options", "identifiers", "properties", "expiry"}
    )

    def __init__(self, target: Target, session: Session, *, acks_by_hand: bool = False) -> None:
        self.target, self.session, self.seen = target, session, Seen()
        self.connack: Any = None
        self.unacked: list[tuple[int, int]] = []
        self.codes: dict[int, int] = {}
        """Reason code of each acknowledged publish, by packet id."""
        self._subacks: dict[int, int] = {}
        self._code: int | None = None
        self._loop = asyncio.get_running_loop()
        is_v5 = session.version == V5
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            session.client_id,
            clean_session=None if is_v5 else session.clean,
            protocol=session.version,
            transport=KINDS[target.transport],
            reconnect_on_failure=False,
            manual_ack=acks_by_hand,
        )
        self.paho.max_inflight_messages_set(WINDOW)
        self.paho.username_pw_set(target.user, target.password)
        if target.transport in {"tls", "wss"}:
            self.paho.tls_set_context(ssl.create_default_context(cafile=str(target.ca)))
        if target.transport in {"ws", "wss"}:
            self.paho.ws_set_options(path=target.path)
        if session.will is not None:
            will = session.will
            self.paho.will_set(
                will.topic, will.payload, will.qos, will.retain, will_properties(session)
            )
        self.paho.on_connect = self._connected
        self.paho.on_message = self._heard
        self.paho.on_subscribe = self._subscribed
        self.paho.on_publish = self._published
        self.paho.on_disconnect = self._ended

    async def open(self) -> None:
        more: dict[str, Any] = {}
        if self.session.version == V5:
            more = {
                "clean_start": self.session.clean,
                "properties": connect_properties(self.session),
            }
        where = str(self.target.socket) if self.target.transport == "unix" else self.target.host
        port = self.target.port or 1883  # unused by Unix sockets, and 0 is refused
        self.paho.connect_async(where, port, keepalive=30, **more)
        self.paho.loop_start()
        await eventually(
            lambda: self._code is not None or self.seen.closed.is_set(),
            seconds=SECONDS,
            what="CONNACK",
        )
        assert self._code is not None, "closed without a CONNACK"
        if self._code:
            self.paho.loop_stop()
            raise RefusedError(self._code)

    async def subscribe(self, want: Want) -> int:
        if self.session.version == V5:
            options = SubscribeOptions(
                want.qos, want.no_local, want.retain_as_published, want.retain_handling
            )
            asked = Properties(PacketTypes.SUBSCRIBE)
            if want.identifier:
                asked.SubscriptionIdentifier = want.identifier
            _, number = self.paho.subscribe(want.pattern, options=options, properties=asked)
        else:
            _, number = self.paho.subscribe(want.pattern, want.qos)
        assert number is not None
        await eventually(lambda: number in self._subacks, seconds=SECONDS, what="SUBACK")
        return self._subacks[number]

    async def publish(self, messages: Sequence[Message]) -> None:
        infos = [
            self.paho.publish(
                each.topic, each.payload, each.qos, each.retain, publish_properties(self, each)
            )
            for each in messages
        ]
        await eventually(
            lambda: all(info.is_published() for info in infos), seconds=SECONDS, what="acks"
        )

    async def close(self) -> None:
        self.paho.disconnect()
        await asyncio.to_thread(self.paho.loop_stop)

    async def cut(self) -> None:
        sock = self.paho.socket()
        assert sock is not None
        with contextlib.suppress(OSError):
            raw = sock if hasattr(sock, "shutdown") else sock._socket
            raw.shutdown(socket.SHUT_RDWR)
        await self.seen.closed.wait()
        await asyncio.to_thread(self.paho.loop_stop)

    def ack(self) -> None:
        """Acknowledge the oldest message that waits for it."""
        self.paho.ack(*self.unacked.pop(0))

    # ---- in paho's thread ----

    def _connected(self, _c: Any, _u: Any, flags: Any, code: Any, properties: Any) -> None:
        self.seen.is_present = flags.session_present
        self.connack = properties
        self._code = code.value

    def _heard(self, _c: Any, _u: Any, message: Any) -> None:
        if message.qos:
            self.unacked.append((message.mid, message.qos))
        self.seen.messages.append(received(message))

    def _subscribed(self, _c: Any, _u: Any, number: int, codes: Any, _p: Any) -> None:
        self._subacks[number] = codes[0].value

    def _published(self, _c: Any, _u: Any, number: int, code: Any, _p: Any) -> None:
        self.codes[number] = code.value

    def _ended(self, *_: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the test's loop may be gone already
            self._loop.call_soon_threadsafe(self.seen.closed.set)


def connect_properties(session: Session) -> Properties:
    """Write what CONNECT asks for as paho does."""
    found = Properties(PacketTypes.CONNECT)
    if session.expiry_s:
        found.SessionExpiryInterval = session.expiry_s
    if session.receive_maximum is not None:
        found.ReceiveMaximum = session.receive_maximum
    if session.alias_maximum:
        found.TopicAliasMaximum = session.alias_maximum
    return found


def will_properties(session: Session) -> Properties | None:
    """Write a will's delay as paho does."""
    if session.version != V5:
        return None
    found = Properties(PacketTypes.WILLMESSAGE)
    if session.will_delay_s:
        found.WillDelayInterval = session.will_delay_s
    return found


def publish_properties(client: Any, message: Message) -> Properties | None:
    """Write a message's properties as paho does."""
    if client.session.version != V5:
        return None
    found = Properties(PacketTypes.PUBLISH)
    if message.user:
        found.UserProperty = list(message.user)
    if message.content_type is not None:
        found.ContentType = message.content_type
    if message.response_topic is not None:
        found.ResponseTopic = message.response_topic
    if message.correlation is not None:
        found.CorrelationData = message.correlation
    if message.expiry_s is not None:
        found.MessageExpiryInterval = message.expiry_s
    return found


def received(message: Any) -> Message:
    """Read a message of paho, or of aiomqtt."""
    read = getattr(message, "properties", None)
    return Message(
        str(message.topic),
        bytes(message.payload),
        message.qos,
        bool(message.retain),
        tuple(tuple(pair) for pair in getattr(read, "UserProperty", ())),
        getattr(read, "ContentType", None),
        getattr(read, "ResponseTopic", None),
        getattr(read, "CorrelationData", None),
        getattr(read, "MessageExpiryInterval", None),
        tuple(getattr(read, "SubscriptionIdentifier", ())),
    )
