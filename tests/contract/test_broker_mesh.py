"""The broker's contract beyond `core`: delivery by right, late acknowledgements, the Meshblu dialect."""

from collections.abc import AsyncIterator

import pytest
from paho.mqtt import client as paho

from gateway.errors import ConfigError
from gateway.mqtt.ports import Consumed, Granted, Publish, Refused, Session, Verdict
from tests.fakes.mqtt_broker import DEVICE, RawClient, connect
from tests.fakes.mqtt_engines import CAPABILITIES, Engine, engines_with, started
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.waiting import eventually


@pytest.fixture
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with started(request.param) as engine:
        yield engine


@engines_with("delivery_acl")
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


@engines_with("defer_ack")
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


@engines_with("mesh")
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


@engines_with("mesh")
async def test_the_connect_of_the_published_meshblu_client_is_accepted(engine: Engine) -> None:
    client = await RawClient.open(engine.port)
    client.send(connect(DEVICE, "mqttjs_0a1b2c3d", name="MQIsdp", level=4, keep_alive=10))
    assert await client.read() == (0x20, b"\0\0")


async def test_amqtt_refuses_what_it_cannot_do() -> None:
    from gateway.broker.engine_amqtt import AmqttEngine
    from tests.fakes.mqtt_broker import authenticate

    with pytest.raises(ConfigError, match="not to listen"):
        AmqttEngine(authenticate, host="0.0.0.0", port=1)
    AmqttEngine(authenticate, host="0.0.0.0", port=1, accept_risks=True)
    engine = AmqttEngine(authenticate, host="127.0.0.1", port=1)
    with pytest.raises(ConfigError, match="cannot be claimed"):
        engine.claim("message", lambda *_: None)
    assert CAPABILITIES["amqtt"] == {"core"}
