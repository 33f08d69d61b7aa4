"""CONNECT: who gets in, who is replaced, who is told to come back later."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.broker.limits import Limits
from gateway.mqtt.ports import Credentials, Principal, Rejected, Session
from tests.fakes.mqtt_broker import (
    CHILD,
    DEVICE,
    PRINCIPALS,
    RawClient,
    connect,
    publish,
    running,
    subscribe,
)
from tests.fakes.waiting import eventually


async def answer(port: int, raw: bytes) -> bytes:
    client = await RawClient.open(port)
    client.send(raw)
    first, body = await client.read()
    assert first == 0x20
    return body


async def test_the_published_meshblu_client_logs_in() -> None:
    async with running() as (_, port):
        raw = connect(DEVICE, "mqttjs_0a1b2c3d", name="MQIsdp", level=4, keep_alive=10)
        assert await answer(port, raw) == b"\0\0"


async def test_another_version_gets_code_1_and_a_wrong_password_code_4() -> None:
    async with running() as (broker, port):
        assert await answer(port, connect("admin", level=3, name="MQTT")) == b"\0\1"
        assert await answer(port, connect("admin", password="wrong")) == b"\0\4"
        assert await answer(port, connect(None)) == b"\0\4"
        assert broker.stats()["failed_logins"] == 2


async def test_a_wrong_password_does_not_touch_its_victims_session() -> None:
    async with running() as (_, port):
        victim = await RawClient.login(port, "admin", "same")
        await victim.subscribed("a")
        assert await answer(port, connect("admin", "same", password="wrong")) == b"\0\4"
        victim.send(publish("a", b"alive"))
        assert (await victim.message())[1] == b"alive"


async def test_equal_client_ids_of_two_identities_are_two_sessions() -> None:
    async with running() as (_, port):
        one = await RawClient.login(port, "admin", "same")
        await RawClient.login(port, "reader", "same")
        assert await one.is_quiet()


async def test_a_new_connection_replaces_the_old_one_and_its_will_fires() -> None:
    async with running() as (_, port):
        watcher = await RawClient.login(port, "admin", "watcher")
        await watcher.subscribed("wills")
        old = await RawClient.login(port, "admin", "same", will=("wills", b"old", 0))
        new = await RawClient.login(port, "admin", "same")
        assert await old.is_closed()
        assert (await watcher.message())[1] == b"old"
        assert await new.is_quiet()


async def test_two_machines_with_one_identity_are_reported() -> None:
    async with running() as (broker, port):
        for _ in range(8):
            await RawClient.login(port, "admin", "same")
        assert broker.stats()["cloned_identities"] == 1
        assert broker.stats()["taken_over"] == 7


async def test_a_device_has_at_most_sixteen_sessions() -> None:
    async with running() as (_, port):
        for number in range(16):
            await RawClient.login(port, DEVICE, f"c{number}")
        assert await answer(port, connect(DEVICE, "c16")) == b"\0\3"
        assert await answer(port, connect(DEVICE, "c3")) == b"\0\0"


async def test_above_the_connection_limit_clients_are_told_not_hung() -> None:
    async with running(Limits(connections=2)) as (_, port):
        kept = [await RawClient.login(port, "admin", f"c{number}") for number in range(2)]
        assert await answer(port, connect("admin", "c3")) == b"\0\3"
        kept[0].close()
        await asyncio.sleep(0.02)
        assert await answer(port, connect("admin", "c3")) == b"\0\0"


async def test_too_many_failed_logins_are_put_off() -> None:
    async with running() as (broker, port):
        for _ in range(20):
            await answer(port, connect("reader", password="guess"))
        assert await answer(port, connect("writer")) == b"\0\3"
        assert broker.stats()["throttled_logins"] == 1


async def test_a_socket_that_says_nothing_is_closed() -> None:
    async with running() as (broker, port):
        client = await RawClient.open(port)
        await eventually(lambda: broker.connections)
        broker.sweep(broker.now())
        broker.sweep(broker.now() + 9)
        assert broker.connections
        broker.sweep(broker.now() + 10)
        assert (await client.read())[0] == 0


async def test_keep_alive_is_enforced_at_one_and_a_half_and_the_will_fires() -> None:
    async with running() as (broker, port):
        watcher = await RawClient.login(port, "admin", "watcher", keep_alive=0)
        await watcher.subscribed("wills")
        silent = await RawClient.login(port, "admin", keep_alive=10, will=("wills", b"gone", 0))
        now = broker.now()
        broker.sweep(now)
        broker.sweep(now + 14)
        assert await silent.is_quiet()
        broker.sweep(now + 14)
        broker.sweep(now + 29.5)
        assert (await watcher.message())[1] == b"gone"
        assert await silent.is_closed()


async def test_input_waits_for_a_slow_authenticator() -> None:
    async with running() as (broker, port):
        waiting: list[Callable[[Principal | Rejected], None]] = []

        def later(credentials: Credentials, done: Callable[[Principal | Rejected], None]) -> None:
            waiting.append(done)

        broker.authenticate = later
        client = await RawClient.open(port)
        client.send(connect("admin"), subscribe("a"), publish("a", b"x"))
        await eventually(lambda: waiting)
        waiting[0](PRINCIPALS["admin"])
        assert [(await client.read())[0] for _ in range(3)] == [0x20, 0x90, 0x30]


async def test_an_answer_for_a_client_that_has_gone_is_dropped() -> None:
    async with running() as (broker, port):
        waiting: list[Callable[[Principal | Rejected], None]] = []
        broker.authenticate = lambda credentials, done: waiting.append(done)
        client = await RawClient.open(port)
        client.send(connect("admin"))
        await eventually(lambda: waiting)
        client.close()
        await eventually(lambda: not broker.connections)
        waiting[0](PRINCIPALS["admin"])
        assert broker.stats()["clients"] == 0


@pytest.mark.parametrize(
    ("user", "topic", "flags"),
    [
        ("reader", "home/x", 0),
        ("admin", "$SYS/x", 0),
        (CHILD, "plain", 0),
        ("admin", "devices/a/set", 32),
    ],
)
async def test_a_will_its_client_may_not_publish_refuses_the_connect(
    user: str, topic: str, flags: int
) -> None:
    async with running() as (_, port):
        expected = b"\0\0" if topic == "devices/a/set" else b"\0\5"
        assert await answer(port, connect(user, will=(topic, b"x", flags))) == expected


class Watch:
    """Notes what an observer hears."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def opened(self, session: Session) -> None:
        self.events.append(("opened", session.client_id))

    def closed(self, session: Session, reason: str) -> None:
        self.events.append(("closed", reason))


async def test_observers_hear_of_devices_and_not_of_users() -> None:
    async with running() as (broker, port):
        watch = Watch()
        broker.observe(watch)
        await RawClient.login(port, "admin")
        device = await RawClient.login(port, DEVICE, "d")
        device.send(b"\xe0\x00")
        await eventually(lambda: len(watch.events) == 2)
        assert watch.events == [("opened", "d"), ("closed", "left")]


async def test_a_kicked_session_is_gone_and_takes_no_frame() -> None:
    async with running() as (broker, port):
        device = await RawClient.login(port, DEVICE, "d")
        session = broker.sessions_of(DEVICE)[0]
        assert broker.deliver(session, DEVICE, b"frame")
        broker.kick(session, "token revoked")
        assert not broker.deliver(session, DEVICE, b"frame")
        assert await device.is_closed()
        assert broker.sessions_of(DEVICE) == []
