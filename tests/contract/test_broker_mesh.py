"""The broker's contract beyond `core`: delivery by right, late acknowledgements, the Meshblu dialect, MQTT 5."""

import pytest
from paho.mqtt import client as paho

from gateway.broker.capabilities import Capability
from gateway.mqtt.ports import Consumed, Granted, Publish, Refused, Session, Verdict
from tests.contract.broker_engine import engine
from tests.fakes.mqtt_broker import DEVICE, RawClient, connect
from tests.fakes.mqtt_engines import Engine, engines_with
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.waiting import eventually

__all__ = ["engine"]  # a fixture


@engines_with(Capability.DELIVERY_ACL)
async def test_retained_and_live_messages_reach_only_who_may_read_them(engine: Engine) -> None:
    engine.broker.publish("home/safe", b"1234", retain=True)
    engine.broker.publish("home/kitchen/lamp", b"on", retain=True)
    with paho_client("kitchen") as client:
        await client.start(engine.port)
        assert await client.subscribe("#", 1) == 1
        await eventually(lambda: client.messages)
        engine.broker.publish("home/safe", b"5678")
        engine.broker.publish("home/kitchen/lamp", b"off")
        await eventually(lambda: len(client.messages) == 2)
        assert {m[0] for m in client.messages} == {"home/kitchen/lamp"}


@engines_with(Capability.DEFER_ACK)
async def test_an_acknowledgement_leaves_when_its_message_is_settled(engine: Engine) -> None:
    engine.broker.claim("message", lambda *_: Consumed(7))
    with paho_client(DEVICE) as device:
        await device.start(engine.port)
        device.client.publish("message", b"{}", 1)
        await eventually(lambda: engine.broker.unsettled)
        engine.broker.settled(6)
        assert device.published == []
        engine.broker.settled(7)
        await eventually(lambda: device.published)


@engines_with(Capability.MESH)
@pytest.mark.parametrize("level", [paho.MQTTv31, paho.MQTTv311])
async def test_a_device_subscribes_to_itself_and_gets_replies(engine: Engine, level: int) -> None:
    def whoami(session: Session, publish: Publish) -> Verdict:
        assert engine.broker.deliver(session, DEVICE, b'{"topic":"whoami"}')
        return Consumed()

    engine.broker.claim("whoami", whoami)
    engine.broker.claim_uuids(lambda *_: Refused("no"), lambda *_: Granted(0), lambda *_: None)
    with paho_client(DEVICE, level=level) as device:
        await device.start(engine.port)
        assert await device.subscribe(DEVICE) == 0
        device.client.publish("whoami", b"{}")
        await eventually(lambda: device.messages)
        assert device.messages[0][:2] == (DEVICE, b'{"topic":"whoami"}')


@engines_with(Capability.MESH)
async def test_the_connect_of_the_published_meshblu_client_is_accepted(engine: Engine) -> None:
    client = await RawClient.open(engine.port)
    client.send(connect(DEVICE, "mqttjs_0a1b2c3d", name="MQIsdp", level=4, keep_alive=10))
    assert await client.read() == (0x20, b"\0\0")


@engines_with(Capability.DELIVERY_ACL)
async def test_a_will_is_judged_as_a_publish(engine: Engine) -> None:
    client = await RawClient.open(engine.port)
    client.send(connect("reader", "dying", will=("home/lamp", b"gone", 0)))
    assert await client.read() == (0x20, b"\0\5")


@engines_with(Capability.PROTOCOL_5)
async def test_properties_reach_the_subscriber(engine: Engine) -> None:
    with paho_client("admin", "five", level=paho.MQTTv5) as client:
        await client.start(engine.port)
        properties = paho.Properties(paho.PacketTypes.PUBLISH)
        properties.UserProperty = [("unit", "C")]
        heard: list[list[tuple[str, str]]] = []
        client.client.on_message = lambda c, u, m: heard.append(m.properties.UserProperty)
        await client.subscribe("room/#", 1)
        client.client.publish("room/a", b"21.5", 1, properties=properties)
        await eventually(lambda: heard)
        assert heard == [[("unit", "C")]]


@engines_with(Capability.PROTOCOL_5)
async def test_a_refused_publish_is_told_its_reason(engine: Engine) -> None:
    with paho_client("reader", "five", level=paho.MQTTv5) as client:
        await client.start(engine.port)
        codes: list[int] = []
        client.client.on_publish = lambda c, u, mid, code, p: codes.append(code.value)
        client.client.publish("home/x", b"no", 1)
        await eventually(lambda: codes)
        assert codes == [0x87]
