"""The broker's contract, `commands`: a write to `devices/<slug>/set` by who may, and once."""

import pytest

from gateway.broker.capabilities import Capability
from tests.contract.broker_engine import AMQTT_WARNS, engine
from tests.fakes.mqtt_engines import Engine, engines_with
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.waiting import eventually

pytestmark = AMQTT_WARNS
__all__ = ["engine"]  # a fixture


@engines_with(Capability.COMMANDS)
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_what_a_user_writes_to_set_is_handed_over_with_its_name(
    engine: Engine, qos: int
) -> None:
    with paho_client("kitchen") as client:
        await client.start(engine.port)
        client.client.publish("devices/lamp/set", b'{"on":true}', qos)
        client.client.publish("devices/lamp/set", b'{"on":false}', qos)
        await eventually(lambda: len(engine.commands) == 2)
        assert engine.commands == [
            ("lamp", b'{"on":true}', "kitchen"),
            ("lamp", b'{"on":false}', "kitchen"),
        ]


@engines_with(Capability.COMMANDS)
async def test_who_may_not_write_commands_nothing(engine: Engine) -> None:
    with paho_client("writer") as stranger, paho_client("kitchen") as client:
        await stranger.start(engine.port)
        await client.start(engine.port)
        stranger.client.publish("devices/lamp/set", b"{}", 1)
        await eventually(lambda: stranger.published, what="PUBACK")
        client.client.publish("devices/lamp/set", b'{"on":true}', 1)
        await eventually(lambda: engine.commands)
        assert engine.commands == [("lamp", b'{"on":true}', "kitchen")]


@engines_with(Capability.COMMANDS)
async def test_a_retained_command_is_not_carried_out(engine: Engine) -> None:
    with paho_client("kitchen") as client:
        await client.start(engine.port)
        client.client.publish("devices/lamp/set", b'{"on":false}', 1, retain=True)
        client.client.publish("devices/lamp/set", b'{"on":true}', 1)
        await eventually(lambda: engine.commands)
        assert engine.commands == [("lamp", b'{"on":true}', "kitchen")]
