"""amqtt's own client: MQTT 3.1.1 over TCP, TLS and WebSockets."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar

from amqtt.client import MQTTClient
from amqtt.errors import AMQTTError, ClientError, ConnectError

from tests.clients.mqtt_wire import (
    SECONDS,
    V311,
    Message,
    RefusedError,
    Seen,
    Session,
    Target,
    Want,
)

SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}
WINDOW = 50


class AmqttClient:
    """The client that comes with the other engine."""

    name: ClassVar[str] = "amqtt"
    title: ClassVar[str] = "amqtt's client (Python)"
    versions: ClassVar[tuple[int, ...]] = (V311,)
    transports: ClassVar[frozenset[str]] = frozenset(SCHEMES)
    can: ClassVar[frozenset[str]] = frozenset({"stays away"})

    def __init__(self, target: Target, session: Session) -> None:
        self.target, self.session, self.seen = target, session, Seen()
        config: dict[str, Any] = {"auto_reconnect": False, "keep_alive": 30, "plugins": {}}
        if session.will is not None:
            will = session.will
            config["will"] = {
                "topic": will.topic,
                "message": will.payload.decode(),
                "qos": will.qos,
                "retain": will.retain,
            }
        self._client = MQTTClient(session.client_id, config)
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        target = self.target
        path = target.path if target.transport in {"ws", "wss"} else ""
        uri = (
            f"{SCHEMES[target.transport]}://{target.user}:{target.password}"
            f"@{target.host}:{target.port}{path}"
        )
        try:
            await self._client.connect(
                uri, self.session.clean, cafile=str(target.ca) if target.ca else None
            )
        except ConnectError as error:
            raise RefusedError(getattr(error, "return_code", None)) from error
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                got = await self._client.deliver_message()
                if got is not None:
                    retain = bool(got.publish_packet and got.publish_packet.retain_flag)
                    message = Message(got.topic, bytes(got.data), got.qos, retain)
                    self.seen.messages.append(message)
        except (asyncio.CancelledError, AMQTTError):
            self.seen.closed.set()

    async def subscribe(self, want: Want) -> int:
        return (await self._client.subscribe([(want.pattern, want.qos)]))[0]

    async def publish(self, messages: Sequence[Message]) -> None:
        for at in range(0, len(messages), WINDOW):
            await asyncio.gather(
                *(
                    asyncio.wait_for(
                        self._client.publish(each.topic, each.payload, each.qos, each.retain),
                        SECONDS,
                    )
                    for each in messages[at : at + WINDOW]
                )
            )

    async def close(self) -> None:
        with contextlib.suppress(ClientError):
            await self._client.disconnect()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def cut(self) -> None:
        writer = self._client._handler.writer
        line = writer._protocol if self.target.transport in {"ws", "wss"} else writer._writer
        line.transport.abort()
        await asyncio.wait_for(self.seen.closed.wait(), SECONDS)
