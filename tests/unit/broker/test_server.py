"""The broker as a whole: who sees what, and what outlives a connection."""

import asyncio

import pytest

from gateway.broker.limits import Limits
from gateway.mqtt.ports import CONSUMED, Granted, Publish, Refused, Session, Verdict
from tests.fakes.mqtt_broker import CHILD, DEVICE, OTHER, RawClient, packet, publish, running, text
from tests.fakes.waiting import eventually


async def test_an_admin_on_every_wildcard_sees_nothing_of_the_mesh() -> None:
    async with running() as (broker, port):
        for topic in ("message", "whoami", "meshblu/request", "$gateway/1/#"):
            broker.claim(topic, lambda *_: CONSUMED)
        broker.claim_uuids(lambda *_: Refused("no"), lambda *_: Granted(0), lambda *_: None)
        admin = await RawClient.login(port, "admin")
        assert await admin.subscribed("#", "+", "+/#", "$share/g/#") == b"\0\0\0\0"
        device = await RawClient.login(port, DEVICE)
        child = await RawClient.login(port, CHILD)
        for topic in ("message", "whoami", "meshblu/request", DEVICE, OTHER):
            device.send(publish(topic, b"secret", 1, 1, flags=1))
            assert (await device.read())[0] == 0x40
        child.send(publish(f"$gateway/1/{CHILD}/up", b"secret", 1, 1))
        assert (await child.read())[0] == 0x40
        for session in broker.sessions_of(DEVICE):
            assert broker.deliver(session, DEVICE, b"frame")
            assert broker.deliver(session, f"meshbluClient/{DEVICE}/c", b"frame")
        broker.publish(DEVICE, b"secret", retain=True)
        broker.publish(f"$gateway/1/{CHILD}/down", b"secret")
        assert await admin.is_quiet()
        assert len(broker.routing.retained) == 0


async def test_a_users_message_topic_is_an_ordinary_topic() -> None:
    async with running() as (broker, port):
        broker.claim("message", lambda *_: CONSUMED)
        admin = await RawClient.login(port, "admin")
        await admin.subscribed("message")
        admin.send(publish("message", b"plain"))
        assert (await admin.message())[:2] == ("message", b"plain")


async def test_uuid_topics_reach_the_mesh_in_lower_case() -> None:
    asked: list[str] = []

    def take(session: Session, publish: Publish) -> Verdict:
        asked.append(publish.topic)
        return CONSUMED

    def attach(session: Session, pattern: str, qos: int) -> Granted:
        asked.append(pattern)
        return Granted(qos)

    ended: list[str] = []
    async with running() as (broker, port):
        broker.claim_uuids(take, attach, lambda _, pattern: ended.append(pattern))
        device = await RawClient.login(port, DEVICE)
        assert await device.subscribed(OTHER.upper(), qos=1) == b"\1"
        device.send(publish(OTHER.upper(), b"x", 1, 1))
        await device.read()
        device.send(packet(0xA2, b"\0\2" + text(OTHER.upper())))
        assert await device.read() == (0xB0, b"\0\2")
        assert asked == [OTHER, OTHER]
        assert ended == [OTHER]


async def test_a_refused_device_is_told_through_the_callback_and_stays_connected() -> None:
    told: list[tuple[str, bytes]] = []

    async with running(on_refused=lambda s, p, r: told.append((p.topic, p.payload))) as (_, port):
        device = await RawClient.login(port, DEVICE)
        device.send(publish("some/topic", b"{}", 1, 4))
        assert await device.read() == (0x40, b"\0\4")
        user = await RawClient.login(port, "reader")
        user.send(publish("some/topic", b"{}", 1, 4))
        assert await user.read() == (0x40, b"\0\4")
        assert told == [("some/topic", b"{}")]
        assert await device.is_quiet()


async def test_an_overlapping_filter_brings_only_what_its_grants_open() -> None:
    async with running() as (broker, port):
        broker.publish("home/kitchen/lamp", b"on", retain=True)
        broker.publish("home/safe/code", b"1234", retain=True)
        kitchen = await RawClient.login(port, "kitchen")
        assert await kitchen.subscribed("home/#") == b"\0"
        assert (await kitchen.message())[:2] == ("home/kitchen/lamp", b"on")
        broker.publish("home/safe/code", b"5678")
        broker.publish("home/kitchen/lamp", b"off")
        assert (await kitchen.message())[:2] == ("home/kitchen/lamp", b"off")


async def test_overlapping_filters_deliver_once_at_the_best_qos() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        await client.subscribed("a/#", qos=0)
        await client.subscribed("a/b", qos=1)
        broker.publish("a/b", b"x", qos=1)
        assert (await client.message())[2] == 0x32
        assert await client.is_quiet()


async def test_a_retained_command_is_refused_even_for_an_admin() -> None:
    async with running() as (broker, port):
        admin = await RawClient.login(port, "admin")
        await admin.subscribed("devices/#")
        admin.send(publish("devices/pump/set", b"on", flags=1))
        assert await admin.is_quiet()
        admin.send(publish("devices/pump/set", b"on"))
        assert (await admin.message())[1] == b"on"
        assert broker.stats()["retained"] == 0


async def test_a_will_is_judged_again_when_it_fires() -> None:
    async with running() as (broker, port):
        taken: list[bytes] = []

        def take(session: Session, publish: Publish) -> Verdict:
            taken.append(publish.payload)
            return CONSUMED

        broker.claim("message", take)
        device = await RawClient.login(port, DEVICE, will=("message", b"gone", 0))
        await device.gone()
        await eventually(lambda: taken == [b"gone"])


async def test_no_will_after_a_disconnect() -> None:
    async with running() as (_, port):
        watcher = await RawClient.login(port, "admin", "watcher")
        await watcher.subscribed("wills")
        client = await RawClient.login(port, "admin", will=("wills", b"gone", 0))
        client.send(b"\xe0\x00")
        assert await client.is_closed()
        assert await watcher.is_quiet()


async def test_a_kept_session_gets_what_it_missed_and_knows_its_subscriptions() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "kept", clean=False)
        await client.subscribed("a/#", qos=1)
        await client.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        broker.publish("a/b", b"missed", qos=1)
        broker.publish("a/b", b"qos 0 is not kept", qos=0)
        again = await RawClient.login(port, "admin", "kept", clean=False)
        assert (await again.message())[:2] == ("a/b", b"missed")
        broker.publish("a/c", b"live")
        assert (await again.message())[:2] == ("a/c", b"live")


async def test_what_was_not_acknowledged_comes_again_as_a_duplicate() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "kept", clean=False)
        await client.subscribed("a", qos=1)
        broker.publish("a", b"x", qos=1)
        assert (await client.read())[0] == 0x32
        await client.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        again = await RawClient.login(port, "admin", "kept", clean=False)
        assert (await again.message())[2] == 0x3A


async def test_a_clean_session_ends_a_kept_one() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "kept", clean=False)
        await client.subscribed("a", qos=1)
        await client.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        await RawClient.login(port, "admin", "kept")
        assert broker.stats()["kept_sessions"] == 0
        assert broker.stats()["subscriptions"] == 0


async def test_a_kept_session_expires_after_a_week() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin", "kept", clean=False)
        await client.subscribed("a", qos=1)
        await client.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        broker.sweep(broker.now() + Limits().session_expiry_s - 1)
        assert broker.stats()["kept_sessions"] == 1
        broker.sweep(broker.now() + Limits().session_expiry_s + 1)
        assert broker.stats()["subscriptions"] == 0


async def test_a_device_keeps_at_most_four_sessions() -> None:
    async with running() as (broker, port):
        for number in range(6):
            client = await RawClient.login(port, DEVICE, f"kept{number}", clean=False)
            await client.gone()
            await eventually(lambda: not broker.connections)
        assert broker.stats()["kept_sessions"] == 4


async def test_code_in_the_process_publishes_and_subscribes() -> None:
    heard: list[tuple[str, bytes, bool]] = []
    async with running() as (broker, port):
        broker.publish("plain/a", b"kept", retain=True)
        end = broker.subscribe("plain/#", lambda *message: heard.append(message))
        client = await RawClient.login(port, "admin")
        client.send(publish("plain/b", b"1"), publish("plain/b", b"2", 1, 1))
        await client.read()
        end()
        client.send(publish("plain/b", b"3", 1, 2))
        await client.read()
        assert heard == [
            ("plain/a", b"kept", True),
            ("plain/b", b"1", False),
            ("plain/b", b"2", False),
        ]


async def test_sys_topics_show_current_values_to_who_asks() -> None:
    async with running() as (broker, port):
        assert len(broker.routing.retained) == 0
        admin = await RawClient.login(port, "admin")
        await admin.subscribed("$SYS/broker/clients/connected", "$SYS/broker/version")
        assert [(await admin.message())[1] for _ in range(2)] == [b"1", b"gateway test"]
        reader = await RawClient.login(port, "reader")
        assert await reader.subscribed("$SYS/#") == b"\x80"
        broker.sweep(broker.now())
        broker.sweep(broker.now() + 11)
        assert b"2" in [(await admin.message())[1] for _ in range(4)]


async def test_a_claim_made_late_takes_effect_for_everybody() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        await client.subscribed("devices/#")
        client.send(publish("devices/x/set", b"1"))
        await client.message()
        broker.claim("devices/#", lambda *_: CONSUMED)
        client.send(publish("devices/x/set", b"2"))
        assert await client.is_quiet()


async def test_subscribing_later_is_seen_by_publishers_that_were_there() -> None:
    async with running() as (_, port):
        writer = await RawClient.login(port, "writer")
        writer.send(publish("home/a", b"nobody", 1, 1))
        await writer.read()
        reader = await RawClient.login(port, "reader")
        await reader.subscribed("home/+")
        writer.send(publish("home/a", b"1"), publish("home/a", b"2", 1, 2))
        assert [(await reader.message())[1] for _ in range(2)] == [b"1", b"2"]
        reader.send(packet(0xA2, b"\0\2" + text("home/+")))
        await reader.read()
        writer.send(publish("home/a", b"3"))
        assert await reader.is_quiet()


@pytest.mark.parametrize("count", [500])
async def test_many_retained_messages_all_arrive(count: int) -> None:
    async with running() as (broker, port):
        for number in range(count):
            broker.publish(f"r/{number}", b"x" * 3000, retain=True)
        client = await RawClient.login(port, "admin")
        await client.subscribed("r/#")
        topics = {(await client.message())[0] for _ in range(count)}
        assert len(topics) == count


async def test_stopping_ends_every_session() -> None:
    async with running() as (broker, port):
        client = await RawClient.login(port, "admin")
        broker.close()
        assert await client.is_closed()
        await asyncio.sleep(0)
        assert broker.stats()["clients"] == 0
