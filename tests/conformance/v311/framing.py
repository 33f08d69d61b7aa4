"""MQTT 3.1.1, 6: MQTT in WebSocket frames."""

import contextlib
from collections.abc import AsyncIterator

from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.websocket import WebSocketRules
from tests.conformance.statements import Statements
from tests.fakes import raw_packets as raw
from tests.fakes.raw_mqtt import RawMqtt
from tests.fakes.raw_packets import CONNACK, PUBACK, PUBLISH, SUBACK
from tests.fakes.raw_scene import Scene
from tests.fakes.raw_websocket import WebSocketStream, open_websocket

table = Statements()


@contextlib.asynccontextmanager
async def websocket(scene: Scene, *subprotocols: str) -> AsyncIterator[tuple[RawMqtt, str | None]]:
    """Open a WebSocket listener beside the scene's own, and a client on it."""
    async with contextlib.AsyncExitStack() as stack:
        spec = ListenerSpec("frames", ("127.0.0.1",), 0, websocket=WebSocketRules())
        listener = Listener(scene.broker, spec)
        await listener.open(stack)
        port = listener.addresses[0][1]
        client, chosen = await open_websocket(port, subprotocols=subprotocols or ("mqtt",))
        scene.clients.append(client)
        yield client, chosen


@table("6.0.0-1", "packets travel in binary frames; a frame of another type ends the connection")
async def _(scene: Scene) -> None:
    async with websocket(scene) as (client, _):
        await client.connect("frames")  # the stream insists that what comes is binary
        await client.publish("a", b"x", 1)
        assert isinstance(client.writer, WebSocketStream)
        client.writer.write_text("text")
        await client.expect_closed()


@table("6.0.0-2", "packets and frames need not begin or end together")
async def _(scene: Scene) -> None:
    async with websocket(scene) as (client, _):
        whole = raw.connect("frames") + raw.subscribe(1, "a") + raw.publish("a", b"x" * 200, 1)
        cuts = (1, 2, 7, 30, 60, len(whole) - 150)
        await client.send_slowly(whole, cuts)
        for kind in (CONNACK, SUBACK, PUBLISH, PUBACK):
            await client.take(kind)
        client.send(raw.PING + raw.publish("a", b"y", 1) + raw.unsubscribe(2, "a"))
        for kind in (raw.PINGRESP, PUBLISH, PUBACK, raw.UNSUBACK):
            await client.take(kind)


@table("6.0.0-4", "the subprotocol that the server chooses is mqtt")
async def _(scene: Scene) -> None:
    for offered in (("mqtt",), ("chat", "mqtt"), ("mqtt", "mqttv3.1")):
        async with websocket(scene, *offered) as (client, chosen):
            assert chosen == "mqtt"
            await client.connect("frames")
