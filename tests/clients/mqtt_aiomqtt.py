"""aiomqtt: paho inside, asyncio around it, its own calls and its own queue of messages."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Any, ClassVar

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.clients.mqtt_paho import (
    KINDS,
    WINDOW,
    connect_properties,
    publish_properties,
    received,
    will_properties,
)
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


class AiomqttClient:
    """The asyncio client most people have."""

    name: ClassVar[str] = "aiomqtt"
    title: ClassVar[str] = "aiomqtt (Python)"
    versions: ClassVar[tuple[int, ...]] = (V31, V311, V5)
    transports: ClassVar[frozenset[str]] = frozenset({"tcp", "tls", "ws", "wss", "unix"})
    can: ClassVar[frozenset[str]] = frozenset(
        {"stays away", "options", "identifiers", "properties", "expiry"}
    )

    def __init__(self, target: Target, session: Session) -> None:
        self.target, self.session, self.seen = target, session, Seen()
        is_v5 = session.version == V5
        will = session.will
        self._client = aiomqtt.Client(
            str(target.socket) if target.transport == "unix" else target.host,
            target.port or 1883,
            username=target.user,
            password=target.password,
            identifier=session.client_id,
            protocol=aiomqtt.ProtocolVersion(session.version),
            clean_session=None if is_v5 else session.clean,
            **(
                {"clean_start": session.clean, "properties": connect_properties(session)}
                if is_v5
                else {}
            ),
            transport=KINDS[target.transport],
            timeout=SECONDS,
            max_inflight_messages=WINDOW,
            tls_context=ssl.create_default_context(cafile=str(target.ca)) if target.ca else None,
            websocket_path=target.path if target.transport in {"ws", "wss"} else None,
            will=None
            if will is None
            else aiomqtt.Will(
                will.topic, will.payload, will.qos, will.retain, will_properties(session)
            ),
        )
        self._client.pending_calls_threshold = 10_000
        self._stack = contextlib.AsyncExitStack()
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        try:
            await self._stack.enter_async_context(self._client)
        except aiomqtt.MqttCodeError as error:
            raise RefusedError(getattr(error.rc, "value", error.rc)) from error
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            async for message in self._client.messages:
                self.seen.messages.append(received(message))
        except aiomqtt.MqttError:
            self.seen.closed.set()

    async def subscribe(self, want: Want) -> int:
        more: dict[str, Any] = {}
        if self.session.version == V5:
            more["options"] = SubscribeOptions(
                want.qos, want.no_local, want.retain_as_published, want.retain_handling
            )
            more["properties"] = Properties(PacketTypes.SUBSCRIBE)
            if want.identifier:
                more["properties"].SubscriptionIdentifier = want.identifier
            codes: Any = await self._client.subscribe(want.pattern, **more)
        else:
            codes = await self._client.subscribe(want.pattern, want.qos)
        return int(getattr(codes[0], "value", codes[0]))

    async def publish(self, messages: Sequence[Message]) -> None:
        await asyncio.gather(
            *(
                self._client.publish(
                    each.topic,
                    each.payload,
                    each.qos,
                    each.retain,
                    properties=publish_properties(self, each),
                    timeout=SECONDS,
                )
                for each in messages
            )
        )

    async def close(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            await self._stack.aclose()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def cut(self) -> None:
        sock = self._client._client.socket()
        assert sock is not None
        raw = sock if hasattr(sock, "shutdown") else sock._socket
        raw.shutdown(socket.SHUT_RDWR)
        await asyncio.wait_for(self.seen.closed.wait(), SECONDS)
