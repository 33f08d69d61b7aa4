"""Kept sessions and the disk: what waits for a commit, what is found again, what is dropped."""

import pytest

from gateway.broker.access_change import user_changed
from gateway.broker.server import Broker
from gateway.mqtt.journal import (
    Kept,
    KeptDelivery,
    KeptRetained,
    KeptSession,
    KeptSubscription,
    SessionKey,
)
from gateway.mqtt.ports import Granted, Principal, PrincipalKind, Refused, Session, Wait
from tests.fakes import raw_packets as raw
from tests.fakes.mqtt_broker import (
    DEVICE,
    OTHER,
    PRINCIPALS,
    RawClient,
    authenticate,
    connect,
    packet,
    publish,
    running,
    subscribe,
)
from tests.fakes.mqtt_sessions import SlowJournal, message
from tests.fakes.raw_scene import scene
from tests.fakes.waiting import eventually


def key(name: str, client_id: str = "c") -> SessionKey:
    return SessionKey(PRINCIPALS[name].kind, name, client_id)


def found(name: str, sid: int = 9, **more: object) -> Kept:
    session = KeptSession(sid, key(name), 4, 3600, 1800.0, **more)  # type: ignore[arg-type]
    return Kept(sessions=[session])


async def test_a_puback_waits_for_the_disk_when_somebody_away_is_to_get_the_message() -> None:
    journal = SlowJournal()
    async with running(journal=journal) as (broker, port):
        away = await RawClient.login(port, "reader", "away", clean=False)
        away.send(subscribe("home/a", qos=1))
        await eventually(lambda: broker.unsettled)
        journal.commit()
        assert await away.read() == (0x90, b"\0\1\1")
        await away.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        writer = await RawClient.login(port, "writer")
        writer.send(publish("home/b", b"nobody", 1, 1), publish("home/a", b"kept", 1, 2))
        writer.send(publish("home/b", b"nobody", 1, 3))
        assert await writer.read() == (0x40, b"\0\1")
        assert await writer.is_quiet()
        journal.commit()
        assert [await writer.read() for _ in range(2)] == [(0x40, b"\0\2"), (0x40, b"\0\3")]


async def test_a_qos_2_message_of_a_kept_session_is_noted_before_pubrec_and_forgotten_before_pubcomp() -> (
    None
):
    journal = SlowJournal()
    async with running(journal=journal) as (_, port):
        writer = await RawClient.login(port, "writer", clean=False)
        writer.send(publish("home/a", b"x", 2, 7))
        assert await writer.is_quiet()
        assert ("receive", 1, 7) in journal.notes
        journal.commit()
        assert await writer.read() == (0x50, b"\0\7")
        writer.send(packet(0x62, b"\0\7"))
        assert await writer.is_quiet()
        journal.commit()
        assert await writer.read() == (0x70, b"\0\7")


async def test_pubrel_waits_for_the_disk() -> None:
    journal = SlowJournal()
    async with running(journal=journal) as (broker, port):
        reader = await RawClient.login(port, "reader", clean=False)
        reader.send(subscribe("home/a", qos=2))
        await eventually(lambda: broker.unsettled)
        journal.commit()
        assert (await reader.read())[0] == 0x90
        broker.publish("home/a", b"x", qos=2)
        assert await reader.is_quiet()
        journal.commit()
        first, body = await reader.read()
        assert (first, body) == (0x34, b"\0\6home/a\0\1x")
        reader.send(packet(0x50, b"\0\1"))
        assert await reader.is_quiet()
        journal.commit()
        assert await reader.read() == (0x62, b"\0\1")
        reader.send(packet(0x70, b"\0\1"))
        await eventually(lambda: ("finish", 1, 1) in journal.notes)


async def test_what_was_found_is_sent_again_in_order_with_its_packet_ids() -> None:
    async with running() as (broker, port):
        one, two = message("home/a", b"1"), message("home/a", b"2", qos=2)
        deliveries = [
            KeptDelivery(5, (one, 1, b""), is_released=False),
            KeptDelivery(6, (two, 2, b""), is_released=False),
            KeptDelivery(4, (two, 2, b""), is_released=True),
        ]
        broker.restore(
            found("reader", deliveries=deliveries, subscriptions=[KeptSubscription("home/+", 1)]),
            lambda key: PRINCIPALS.get(key.identity),
        )
        assert broker.stats()["kept_sessions"] == 1
        client = await RawClient.open(port)
        client.send(_connect("reader"))
        assert await client.read() == (0x20, b"\1\0")
        assert await client.read() == (0x62, b"\0\4")
        assert await client.read() == (0x3A, b"\0\6home/a\0\5\x31")
        assert await client.read() == (0x3C, b"\0\6home/a\0\6\x32")
        broker.publish("home/b", b"new", qos=1)
        assert await client.read() == (0x32, b"\0\6home/b\0\7new")


def _connect(name: str) -> bytes:
    return connect(name, "c", clean=False)


async def test_a_repeated_qos_2_message_is_recognised_after_a_restart() -> None:
    async with running() as (broker, port):
        heard: list[bytes] = []
        broker.subscribe("home/a", lambda _, payload, __: heard.append(payload))
        broker.restore(found("writer", received=[7]), lambda key: PRINCIPALS.get(key.identity))
        client = await RawClient.open(port)
        client.send(_connect("writer"))
        await client.read()
        client.send(publish("home/a", b"again", 2, 7, flags=8), publish("home/a", b"new", 2, 8))
        assert [await client.read() for _ in range(2)] == [(0x50, b"\0\7"), (0x50, b"\0\x08")]
        assert heard == [b"new"]


async def test_a_session_is_judged_by_what_its_owner_may_do_today() -> None:
    journal = SlowJournal()
    broker = Broker(authenticate, journal=journal)
    broker.restore(
        found(
            "kitchen",
            subscriptions=[KeptSubscription("home/#", 1), KeptSubscription("garden/#", 1)],
        ),
        lambda key: PRINCIPALS.get(key.identity),
    )
    assert journal.notes == [("unsubscribe", 9, "garden/#")]
    broker.publish("home/safe", b"secret", qos=1)
    broker.publish("home/kitchen/lamp", b"on", qos=1)
    assert [note[1] for note in journal.notes if note[0] == "enqueue"] == [b"on"]


async def test_a_session_of_nobody_is_dropped() -> None:
    journal = SlowJournal()
    broker = Broker(authenticate, journal=journal)
    broker.restore(found("reader"), lambda _: None)
    assert journal.notes == [("drop", 9)]
    assert broker.stats()["kept_sessions"] == 0


@pytest.mark.parametrize("qos", [1, 128])
async def test_the_mesh_is_asked_again_for_the_filters_of_a_device_that_comes_back(
    qos: int,
) -> None:
    journal = SlowJournal()
    async with running(journal=journal) as (broker, port):
        asked: list[tuple[str, int]] = []

        def subscribed(_: Session, pattern: str, wanted: int) -> Granted | Wait:
            asked.append((pattern, wanted))
            return Granted(qos) if len(asked) > 1 else Wait("registry")

        broker.claim_uuids(lambda *_: Refused("no"), subscribed, lambda *_: None)
        broker.restore(
            found(DEVICE, subscriptions=[KeptSubscription(OTHER, 1)]),
            lambda key: PRINCIPALS.get(key.identity),
        )
        client = await RawClient.open(port)
        client.send(_connect(DEVICE))
        assert await client.read() == (0x20, b"\1\0")
        assert asked == [(OTHER, 1)]
        broker.resume(["registry"])
        assert asked == [(OTHER, 1)] * 2
        assert (("unsubscribe", 9, OTHER) in journal.notes) is (qos == 128)


async def test_retained_messages_are_there_again_before_anybody_asks() -> None:
    async with running() as (broker, port):
        kept = Kept(retained=[KeptRetained(message("home/a", b"kept"), is_node=False)])
        broker.restore(kept, lambda _: None)
        reader = await RawClient.login(port, "reader")
        await reader.subscribed("home/#")
        assert (await reader.message())[:2] == ("home/a", b"kept")


async def test_a_found_session_expires_after_what_it_had_left() -> None:
    journal = SlowJournal()
    broker = Broker(authenticate, journal=journal)
    broker.restore(found("reader"), lambda key: PRINCIPALS.get(key.identity))
    broker.sweep(broker.now() + 1790)
    assert broker.stats()["kept_sessions"] == 1
    broker.sweep(broker.now() + 1801)
    assert broker.stats()["kept_sessions"] == 0
    assert ("drop", 9) in journal.notes


async def test_fifty_clients_that_keep_their_own_messages_recover_from_a_stalled_disk() -> None:
    journal = SlowJournal()
    async with running(journal=journal) as (broker, port):
        clients = []
        for number in range(50):
            client = await RawClient.login(port, "admin", f"c{number}", clean=False)
            client.send(subscribe(f"t/{number}", qos=1))
            clients.append(client)
        await eventually(lambda: len(broker.unsettled) == 50)
        journal.commit()
        for client in clients:
            assert (await client.read())[0] == 0x90
        each = 150  # more than a reader takes before it rests
        for number, client in enumerate(clients):
            client.send(*(publish(f"t/{number}", b"x" * 200, 1, i) for i in range(1, each + 1)))
        for client in clients:
            assert await client.is_quiet()  # pings are answered all the while
        acks, messages = [0] * 50, [0] * 50
        while min(acks) < each or min(messages) < each:
            journal.commit()
            for number, client in enumerate(clients):
                await _count(client, number, acks, messages)
        assert acks == messages == [each] * 50


async def _count(client: RawClient, number: int, acks: list[int], messages: list[int]) -> None:
    client.send(b"\xc0\x00")
    while (received := await client.read())[0] != 0xD0:
        first, body = received
        if first == 0x40:
            acks[number] += 1
        else:
            assert first & 0xF0 == 0x30
            messages[number] += 1
            cut = 2 + int.from_bytes(body[:2], "big")
            client.send(packet(0x40, body[cut : cut + 2]))


async def test_session_present_1_means_that_taken_qos_2_messages_are_still_known() -> None:
    taken: list[bytes] = []
    async with running() as (broker, port):
        broker.claim_uuids(lambda *_: Refused("x"), lambda *_: Granted(1), lambda *_: None)
        broker.subscribe("lab/#", lambda _, payload, __: taken.append(payload))
        client = await RawClient.login(port, OTHER, clean=False)
        assert await client.subscribed(OTHER, qos=1) == b"\x01"
        client.send(publish("lab/a", b"once", 2, 7))
        assert await client.read() == (0x50, b"\0\7")
        await client.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        client = await RawClient.open(port)
        client.send(connect(OTHER, f"{OTHER[:8]}-client", clean=False))
        assert await client.read() == (0x20, b"\1\0")
        client.send(publish("lab/a", b"once", 2, 7, flags=8))
        assert await client.read() == (0x50, b"\0\7")
        assert taken == [b"once"]


async def test_pubcomp_to_whoever_takes_over_waits_for_the_disk() -> None:
    journal = SlowJournal()
    async with running(journal=journal) as (broker, port):
        writer = await RawClient.login(port, "writer", clean=False)
        writer.send(publish("home/a", b"x", 2, 7))
        await eventually(lambda: broker.unsettled)
        journal.commit()
        assert await writer.read() == (0x50, b"\0\7")
        writer.send(packet(0x62, b"\0\7"))
        await eventually(lambda: broker.unsettled)
        writer = await RawClient.login(port, "writer", clean=False)
        writer.send(packet(0x62, b"\0\7"))
        assert await writer.is_quiet()
        journal.commit()
        assert await writer.read() == (0x70, b"\0\7")


async def test_pubrel_to_whoever_takes_over_waits_for_the_disk() -> None:
    journal = SlowJournal()
    async with running(journal=journal) as (broker, port):
        reader = await RawClient.login(port, "reader", clean=False)
        reader.send(subscribe("home/a", qos=2))
        await eventually(lambda: broker.unsettled)
        journal.commit()
        assert (await reader.read())[0] == 0x90
        broker.publish("home/a", b"x", qos=2)
        journal.commit()
        assert (await reader.read())[0] == 0x34
        reader.send(packet(0x50, b"\0\1"))
        await eventually(lambda: broker.unsettled)
        reader = await RawClient.login(port, "reader", clean=False)
        assert await reader.is_quiet()
        journal.commit()
        assert await reader.read() == (0x62, b"\0\1")


async def test_an_ended_sessions_own_copy_is_not_given_to_its_shared_group() -> None:
    async with running() as (broker, port):
        member = await RawClient.login(port, "reader", "member", clean=False)
        other = await RawClient.login(port, "reader", "other")
        await member.subscribed("home/#", qos=1)
        await member.subscribed("$share/g/home/#", qos=1)
        await other.subscribed("$share/g/home/#", qos=1)
        for payload in (b"1", b"2"):  # to the member both, and one of them once more for the group
            broker.publish("home/x", payload, qos=1)
        first = (await other.message())[1]
        await member.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        assert await other.is_quiet()
        broker.registry.drop_kept(("reader", "member"))
        assert {first, (await other.message())[1]} == {b"1", b"2"}
        assert await other.is_quiet()


@pytest.mark.parametrize("qos", [0, 1])
async def test_no_local_holds_for_a_session_that_now_speaks_mqtt_3(qos: int) -> None:
    async with scene(version=5) as made:
        told = {raw.Prop.SESSION_EXPIRY: 100}
        client = await made.client(clean=False, props=told)
        await client.subscribe(("home/a", 1 | raw.NO_LOCAL))
        await made.cut(client)
        client = await made.client(version=4, clean=False)
        for payload in (b"found", b"remembered"):
            await client.publish("home/a", payload, qos)
            await client.nothing()
        made.broker.publish("home/a", b"of others", qos=1)
        await client.message(payload=b"of others")


async def test_what_waits_is_not_handed_over_once_its_owner_may_not_read_it() -> None:
    async with running() as (broker, port):
        reader = await RawClient.login(port, "kitchen", clean=False)
        await reader.subscribed("home/#", qos=1)
        await reader.gone()
        await eventually(lambda: broker.stats()["kept_sessions"] == 1)
        broker.publish("home/kitchen/lamp", b"secret", qos=1)
        assert broker.stats()["queued"] == 1
        user_changed(broker, "kitchen", Principal(PrincipalKind.USER, "kitchen"), "roles changed")
        assert broker.stats()["queued"] == 0


async def test_what_was_found_is_not_handed_over_where_its_owner_may_not_read_it() -> None:
    journal = SlowJournal()
    broker = Broker(authenticate, journal=journal)
    deliveries = [
        KeptDelivery(number, (message(topic), 1, b""), is_released=False)
        for number, topic in ((5, "home/kitchen/lamp"), (6, "garden/gate"))
    ]
    broker.restore(found("kitchen", deliveries=deliveries), lambda k: PRINCIPALS.get(k.identity))
    assert journal.notes == [("finish", 9, 6)]
    assert broker.stats()["queued"] == 1


def test_kinds_are_part_of_a_kept_sessions_name() -> None:
    assert key("reader").kind is PrincipalKind.USER
    assert key(DEVICE).kind is PrincipalKind.DEVICE
