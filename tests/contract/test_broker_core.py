"""The broker's contract, `core`: what every engine does for users and plain topics, seen by independent clients."""

import asyncio

import pytest

from gateway.broker.capabilities import Capability
from tests.contract.broker_engine import AMQTT_WARNS, engine
from tests.fakes.mqtt_broker import RawClient
from tests.fakes.mqtt_engines import Engine, engines_with
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.waiting import eventually

pytestmark = AMQTT_WARNS
__all__ = ["engine"]  # a fixture


@engines_with(Capability.CORE)
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_reaches_its_subscriber(engine: Engine, qos: int) -> None:
    with paho_client("admin", "sub") as subscriber, paho_client("admin", "pub") as publisher:
        await subscriber.start(engine.port)
        await publisher.start(engine.port)
        assert await subscriber.subscribe("room/+/temperature", qos) == qos
        publisher.client.publish("room/a/temperature", b"21.5", qos)
        await eventually(lambda: subscriber.messages)
        assert subscriber.messages == [("room/a/temperature", b"21.5", qos, False)]
        await eventually(lambda: publisher.published, what="PUBACK")


@engines_with(Capability.CORE)
async def test_a_wrong_password_is_refused(engine: Engine) -> None:
    with paho_client("admin", "wrong") as client:
        client.client.username_pw_set("admin", "wrong")
        client.client.connect_async("127.0.0.1", engine.port)
        client.client.loop_start()
        await eventually(lambda: client.codes)
        assert client.codes[0] != 0


@engines_with(Capability.CORE)
async def test_order_is_kept(engine: Engine) -> None:
    with paho_client("admin", "sub") as subscriber, paho_client("admin", "pub") as publisher:
        await subscriber.start(engine.port)
        await publisher.start(engine.port)
        await subscriber.subscribe("n", 1)
        for number in range(50):
            publisher.client.publish("n", str(number), 1)
        await eventually(lambda: len(subscriber.messages) == 50, seconds=10)
        assert [int(payload) for _, payload, _, _ in subscriber.messages] == list(range(50))


@engines_with(Capability.CORE)
async def test_a_retained_message_waits_for_later_subscribers(engine: Engine) -> None:
    with paho_client("admin", "pub") as publisher, paho_client("admin", "sub") as subscriber:
        await publisher.start(engine.port)
        publisher.client.publish("lamp", b"on", 1, retain=True)
        await eventually(lambda: publisher.published)
        await subscriber.start(engine.port)
        await subscriber.subscribe("lamp", 1)
        await eventually(lambda: subscriber.messages)
        assert subscriber.messages[0] == ("lamp", b"on", 1, True)


@engines_with(Capability.CORE)
async def test_roles_bound_what_is_read_and_written(engine: Engine) -> None:
    with (
        paho_client("admin") as admin,
        paho_client("writer") as writer,
        paho_client("reader") as reader,
    ):
        for client in (admin, writer, reader):
            await client.start(engine.port)
        await admin.subscribe("#")
        assert await reader.subscribe("garden/#") == 128
        assert await reader.subscribe("home/#") == 0
        writer.client.publish("garden/x", b"no")
        writer.client.publish("home/x", b"yes")
        await eventually(lambda: reader.messages and admin.messages)
        assert [m[0] for m in admin.messages] == ["home/x"]
        assert [m[0] for m in reader.messages] == ["home/x"]


@engines_with(Capability.CORE)
async def test_a_will_is_published_when_the_line_breaks(engine: Engine) -> None:
    with paho_client("admin") as watcher:
        await watcher.start(engine.port)
        await watcher.subscribe("wills")
        client = await RawClient.login(engine.port, "admin", "dying", will=("wills", b"gone", 0))
        await client.gone()
        await eventually(lambda: watcher.messages)
        assert watcher.messages[0][:2] == ("wills", b"gone")


@engines_with(Capability.CORE)
async def test_code_in_the_process_publishes(engine: Engine) -> None:
    with paho_client("admin") as client:
        await client.start(engine.port)
        await client.subscribe("devices/#")
        engine.broker.publish("devices/pump/reading", b"{}", retain=True)
        await eventually(lambda: client.messages)
        assert client.messages[0][:2] == ("devices/pump/reading", b"{}")


@pytest.mark.needs("mosquitto_pub")
@pytest.mark.needs("mosquitto_sub")
@engines_with(Capability.CORE)
async def test_debians_clients_talk_to_it(engine: Engine) -> None:
    login = ("-p", str(engine.port), "-u", "admin", "-P", "secret", "-t", "deb/1", "-q", "1")
    listening = await asyncio.create_subprocess_exec(
        "mosquitto_sub", *login, "-C", "1", "-W", "8", "-i", "sub", stdout=asyncio.subprocess.PIPE
    )
    with paho_client("admin") as probe:
        await probe.start(engine.port)
        assert listening.stdout is not None
        reading = asyncio.ensure_future(listening.stdout.readline())  # noqa: TID251 - awaited below
        for _ in range(100):
            probe.client.publish("deb/ready", b"")
            talking = await asyncio.create_subprocess_exec("mosquitto_pub", *login, "-m", "hello")
            assert await talking.wait() == 0
            if reading.done():
                break
            await asyncio.sleep(0.05)
        assert await reading == b"hello\n"
    await listening.wait()
