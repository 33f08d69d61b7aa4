"""A user that is changed or removed is so at once, in every session it has."""

from dataclasses import replace

from gateway.broker.access_change import user_changed
from gateway.mqtt.ports import Grant
from tests.fakes.mqtt_broker import PRINCIPALS, RawClient, publish, running, subscribe
from tests.fakes.waiting import eventually

KITCHEN = PRINCIPALS["kitchen"]
GARDEN = replace(KITCHEN, grants=(Grant("garden/#", read=True, write=True),))


async def test_live_sessions_end() -> None:
    async with running() as (broker, port):
        first = await RawClient.login(port, "kitchen", "one")
        second = await RawClient.login(port, "kitchen", "two")
        other = await RawClient.login(port, "reader")
        assert user_changed(broker, "kitchen", GARDEN, "the user was changed") == 2
        assert (await first.read())[0] in (0, 0xE0)
        assert (await second.read())[0] in (0, 0xE0)
        await eventually(lambda: len(broker.connections) == 1)
        other.send(b"\xc0\x00")
        assert (await other.read())[0] == 0xD0


async def test_a_will_is_judged_by_what_the_user_may_do_now() -> None:
    async with running() as (broker, port):
        heard: list[str] = []
        broker.subscribe("#", lambda topic, _payload, _retained: heard.append(topic))
        await RawClient.login(port, "writer", will=("home/gone", b"x", 0))
        user_changed(broker, "writer", None, "the user was removed")
        await eventually(lambda: not broker.connections)
        broker.publish("after", b"")
        await eventually(lambda: "after" in heard)
        assert heard == ["after"]


async def test_a_kept_session_goes_on_with_what_the_new_roles_open() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "kitchen", "kept", clean=False)
        client.send(subscribe("home/kitchen/#", "#", qos=1))
        assert (await client.read())[0] == 0x90
        await client.gone()
        await eventually(lambda: not broker.connections)
        user_changed(broker, "kitchen", GARDEN, "the user was changed")
        broker.publish("home/kitchen/light", b"no", qos=1)
        broker.publish("garden/tap", b"yes", qos=1)
        PRINCIPALS["kitchen"] = GARDEN
        try:
            again = await RawClient.login(port, "kitchen", "kept", clean=False)
        finally:
            PRINCIPALS["kitchen"] = KITCHEN
        first, body = await again.read()
        assert first & 0xF0 == 0x30
        assert b"garden/tap" in body


async def test_a_removed_users_kept_session_is_forgotten() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "kitchen", "kept", clean=False)
        client.send(subscribe("home/kitchen/#", qos=1))
        await client.read()
        await client.gone()
        live = await RawClient.login(port, "kitchen", "live", clean=False)
        live.send(subscribe("home/kitchen/#", qos=1), publish("x"))
        await live.read()
        assert user_changed(broker, "kitchen", None, "the user was removed") == 1
        await eventually(lambda: not broker.connections)
        assert broker.stats()["subscriptions"] == 0
        assert broker.stats()["kept_sessions"] == 0
