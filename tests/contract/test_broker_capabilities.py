"""No engine claims what it lacks, nor is said to lack what it has: each gap of the README's table is shown."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.broker.capabilities import ENGINES, Capability
from gateway.broker.engine_amqtt import AmqttEngine
from gateway.errors import ConfigError
from gateway.mqtt.ports import Credentials, Principal, Rejected
from tests.contract.broker_engine import AMQTT_WARNS
from tests.fakes.mqtt_broker import DEVICE, PRINCIPALS, RawClient, authenticate, connect, publish
from tests.fakes.mqtt_engines import STARTED, Engine, started
from tests.fakes.mqtt_paho import paho_client
from tests.fakes.waiting import eventually

pytestmark = AMQTT_WARNS


async def speaks_no_mqtt_5(engine: Engine) -> None:
    client = await RawClient.open(engine.port)
    client.send(connect("admin", "five", level=5))
    assert await client.read() == (0x20, b"\0\1")  # unacceptable protocol version


async def sends_retained_messages_to_whoever_connects(engine: Engine) -> None:
    with paho_client("admin", "other") as other:
        await other.start(engine.port)
        await other.subscribe("home/#", 1)
        other.client.publish("home/kitchen/lamp", b"on", 1, retain=True)
        await eventually(lambda: other.published)
        with paho_client("kitchen", "newcomer") as newcomer:
            await newcomer.start(engine.port)
            await eventually(lambda: newcomer.messages)  # it subscribed to nothing


async def refuses_claims(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="cannot be claimed"):
        engine.broker.claim("message", lambda *_: None)


async def lets_no_device_in(engine: Engine) -> None:
    client = await RawClient.open(engine.port)
    client.send(connect(DEVICE, "device"))
    first, body = await client.read()
    assert (first, body[1:]) == (0x20, b"\5")


async def forgets_sessions_in_a_power_cut(engine: Engine) -> None:
    with paho_client("admin", "sleeper", clean=False) as sleeper:
        await sleeper.start(engine.port)
        await sleeper.subscribe("room/#", 1)
    await engine.cut()
    client = await RawClient.open(engine.port)
    client.send(connect("admin", "sleeper", clean=False))
    assert await client.read() == (0x20, b"\0\0")  # no session present


GAPS: dict[Capability, Callable[[Engine], Awaitable[None]]] = {
    Capability.PROTOCOL_5: speaks_no_mqtt_5,
    Capability.DELIVERY_ACL: sends_retained_messages_to_whoever_connects,
    Capability.DEFER_ACK: refuses_claims,
    Capability.MESH: lets_no_device_in,
    Capability.DURABLE: forgets_sessions_in_a_power_cut,
}


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        pytest.param(name, each, id=f"{name}-{each}")
        for name, has in ENGINES.items()
        for each in Capability
        if each not in has
    ],
)
async def test_what_an_engine_does_not_claim_it_does_not_do(
    name: str, capability: Capability, tmp_path: Path
) -> None:
    async with started(name, tmp_path) as engine:
        await GAPS[capability](engine)


def test_every_engine_can_be_started_and_does_at_least_the_core() -> None:
    assert STARTED.keys() == ENGINES.keys()
    assert all(Capability.CORE in has for has in ENGINES.values())
    assert AmqttEngine.capabilities == ENGINES["amqtt"]


def test_amqtt_listens_beyond_loopback_only_when_the_risks_are_accepted() -> None:
    with pytest.raises(ConfigError, match="not to listen"):
        AmqttEngine(authenticate, host="0.0.0.0", port=1)
    AmqttEngine(authenticate, host="0.0.0.0", port=1, accept_risks=True)


async def test_a_name_claimed_without_its_password_opens_nothing_on_amqtt(tmp_path: Path) -> None:
    """amqtt writes the claimed name into the live session of that client id while the password is still judged."""
    undecided: list[Callable[[Principal | Rejected], None]] = []

    def slow(credentials: Credentials, done: Callable[[Principal | Rejected], None]) -> None:
        if credentials.password == b"secret":
            done(PRINCIPALS[credentials.username or ""])
        else:
            undecided.append(done)

    async with started("amqtt", tmp_path, slow) as engine:
        await (await RawClient.login(engine.port, "admin", "shared", clean=False)).gone()
        with paho_client("admin", "watcher") as watcher:
            await watcher.start(engine.port)
            await watcher.subscribe("home/#")
            kitchen = await RawClient.login(engine.port, "kitchen", "shared", clean=False)
            claiming = await RawClient.open(engine.port)
            claiming.send(connect("admin", "shared", clean=False, password="guess"))
            await eventually(lambda: undecided)
            kitchen.send(publish("home/safe", b"opened"))
            watcher.client.publish("home/end", b"")
            await eventually(lambda: watcher.messages)
            undecided.pop()(Rejected(4, "bad user name or password"))
            assert [message[0] for message in watcher.messages] == ["home/end"]
