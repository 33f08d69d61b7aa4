"""The broker's contract, `durable`: what was acknowledged is there after a power cut."""

from gateway.broker.capabilities import Capability
from tests.contract.broker_engine import engine
from tests.fakes.mqtt_engines import Engine, engines_with
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.waiting import eventually

__all__ = ["engine"]  # a fixture


@engines_with(Capability.DURABLE)
async def test_an_acknowledged_message_waits_for_its_subscriber_through_a_power_cut(
    engine: Engine,
) -> None:
    with paho_client("admin", "sleeper", clean=False) as sleeper:
        await sleeper.start(engine.port)
        await sleeper.subscribe("room/#", 1)
    with paho_client("admin", "writer") as writer:
        await writer.start(engine.port)
        for number in range(20):
            writer.client.publish("room/a", str(number), 1)
        await eventually(lambda: len(writer.published) == 20, what="PUBACKs")
    await engine.cut()
    with paho_client("admin", "sleeper", clean=False) as sleeper:
        await sleeper.start(engine.port)
        await eventually(lambda: len(sleeper.messages) >= 20)
        assert [int(message[1]) for message in sleeper.messages] == list(range(20))


@engines_with(Capability.DURABLE)
async def test_a_retained_message_is_there_after_a_power_cut(engine: Engine) -> None:
    with paho_client("admin", "writer") as writer:
        await writer.start(engine.port)
        writer.client.publish("lamp", b"on", 1, retain=True)
        await eventually(lambda: writer.published, what="PUBACK")
    await engine.cut()
    with paho_client("admin", "reader") as reader:
        await reader.start(engine.port)
        await reader.subscribe("lamp", 1)
        await eventually(lambda: reader.messages)
        assert reader.messages[0][1] == b"on"
