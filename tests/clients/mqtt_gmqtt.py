"""gmqtt: its own protocol code on asyncio, TCP and TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from typing import Any, ClassVar

import gmqtt
from gmqtt.mqtt.handler import MQTTConnectError

from tests.clients.mqtt_wire import (
    SECONDS,
    V5,
    V311,
    Message,
    RefusedError,
    Seen,
    Session,
    Target,
    Want,
)
from tests.fakes.waiting import eventually

WINDOW = 50  # it raises when its packet ids, as many as the broker's receive maximum, are used up
NEVER = -2  # 0 would still try once, -1 for ever


class GmqttClient:
    """A client that shares no code with the others."""

    name: ClassVar[str] = "gmqtt"
    title: ClassVar[str] = "gmqtt (Python)"
    versions: ClassVar[tuple[int, ...]] = (V311, V5)
    transports: ClassVar[frozenset[str]] = frozenset({"tcp", "tls"})
    can: ClassVar[frozenset[str]] = frozenset(
        {"stays away", "present", "options", "identifiers", "properties", "aliases", "expiry"}
    )

    def __init__(self, target: Target, session: Session) -> None:
        self.target, self.session, self.seen = target, session, Seen()
        self._subacks: dict[int, int] = {}
        will, more = session.will, {}
        if session.version == V5:
            # gmqtt treats an absent expiry as the protocol does: the session ends with the connection.
            more = {
                "session_expiry_interval": session.expiry_s or None,
                "receive_maximum": session.receive_maximum,
                "topic_alias_maximum": session.alias_maximum or None,
            }
        delay = {"will_delay_interval": session.will_delay_s} if session.will_delay_s else {}
        self._client = gmqtt.Client(
            session.client_id,
            clean_session=session.clean,
            will_message=None
            if will is None
            else gmqtt.Message(will.topic, will.payload, will.qos, will.retain, **delay),
            **{name: value for name, value in more.items() if value is not None},
        )
        self._client.set_auth_credentials(target.user, target.password)
        self._client.set_config({"reconnect_retries": NEVER, "reconnect_delay": 0})
        self._client.on_connect = self._connected
        self._client.on_message = self._heard
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = lambda *_: self.seen.closed.set()

    async def open(self) -> None:
        context = (
            ssl.create_default_context(cafile=str(self.target.ca)) if self.target.ca else False
        )
        try:
            async with asyncio.timeout(SECONDS):
                await self._client.connect(
                    self.target.host,
                    self.target.port,
                    ssl=context,
                    keepalive=30,
                    version=self.session.version,
                )
        except MQTTConnectError as error:
            raise RefusedError(error._code) from error

    async def subscribe(self, want: Want) -> int:
        asked = gmqtt.Subscription(
            want.pattern,
            want.qos,
            want.no_local,
            want.retain_as_published,
            want.retain_handling,
            want.identifier or None,
        )
        number = self._client.subscribe(asked)
        await eventually(lambda: number in self._subacks, seconds=SECONDS, what="SUBACK")
        return self._subacks[number]

    async def publish(self, messages: Sequence[Message]) -> None:
        waiting = self._client._persistent_storage
        for each in messages:
            await eventually(lambda: len(waiting.get_all()) < WINDOW, seconds=SECONDS, what="acks")
            self._client.publish(
                each.topic, each.payload, qos=each.qos, retain=each.retain, **_properties(each)
            )
        await asyncio.wait_for(waiting.wait_empty(), SECONDS)

    async def close(self) -> None:
        if not self.seen.closed.is_set():
            with contextlib.suppress(ssl.SSLError):  # bytes of ours that cross its close_notify
                await self._client.disconnect()

    async def cut(self) -> None:
        self._client._is_active = False  # else it would come again
        self._client._connection._transport.abort()
        await asyncio.wait_for(self.seen.closed.wait(), SECONDS)

    def _connected(self, _client: Any, flags: int, *_: Any) -> None:
        self.seen.is_present = bool(flags & 1)

    def _heard(self, _c: Any, topic: str, payload: bytes, qos: int, properties: Any) -> int:
        self.seen.messages.append(_received(topic, payload, qos, properties))
        return 0

    def _subscribed(self, _client: Any, number: int, codes: Any, _properties: Any) -> None:
        self._subacks[number] = codes[0]


def _properties(message: Message) -> dict[str, Any]:
    named = {
        "user_property": list(message.user) or None,
        "content_type": message.content_type,
        "response_topic": message.response_topic,
        "correlation_data": message.correlation,
        "message_expiry_interval": message.expiry_s,
    }
    return {name: value for name, value in named.items() if value is not None}


def _received(topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> Message:
    def one(name: str) -> Any:
        return properties.get(name, [None])[0]

    return Message(
        topic,
        bytes(payload),
        qos,
        bool(properties["retain"]),
        tuple(tuple(pair) for pair in properties.get("user_property", ())),
        one("content_type"),
        one("response_topic"),
        one("correlation_data"),
        one("message_expiry_interval"),
        tuple(properties.get("subscription_identifier", ())),
    )
