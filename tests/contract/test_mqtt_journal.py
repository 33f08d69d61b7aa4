"""What the broker's journal keeps, when it is on disk, and what is found after a stop, a crash and damage."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.mqtt.journal import KeptSubscription, SessionKey
from gateway.mqtt.message import Message
from gateway.mqtt.ports import PrincipalKind
from gateway.store import mqtt_segments as segments
from gateway.store.mqtt_journal import JournalLimits
from tests.fakes.mqtt_journal import CALM, JournalStore, listen
from tests.fakes.waiting import eventually

KEY = SessionKey(PrincipalKind.USER, "anna", "phone")
OTHER = SessionKey(PrincipalKind.DEVICE, "11111111-aaaa-4bbb-8ccc-000000000001", "")


def message(payload: bytes = b"21.5", topic: str = "home/hall", qos: int = 1) -> Message:
    return Message(topic, topic.encode(), payload, qos)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[JournalStore]:
    store = JournalStore(tmp_path)
    await store.open()
    yield store
    await store.close()


async def again(store: JournalStore, limits: JournalLimits = CALM) -> None:
    await store.close()
    await store.open(limits)


async def test_an_empty_store_keeps_nothing(tmp_path: Path) -> None:
    store = JournalStore(tmp_path)
    kept = await store.open()
    assert (kept.sessions, kept.retained, kept.wills, kept.damaged) == ([], [], [], 0)
    await store.close()


async def test_a_session_is_found_as_it_was_left(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 5, 3600)
    store.journal.set_session(sid, 4, 7200, 12.5)
    store.journal.subscribe(sid, KeptSubscription("home/#", 1, 7))
    store.journal.subscribe(sid, KeptSubscription("home/#", 2, 9))
    store.journal.subscribe(sid, KeptSubscription("gone", 0))
    store.journal.unsubscribe(sid, "gone")
    store.journal.receive(sid, 65535)
    await store.crash()
    assert (await store.open()).sessions == []
    sid = store.journal.new_session(KEY, 5, 3600)
    store.journal.set_session(sid, 4, 7200, 12.5)
    store.journal.subscribe(sid, KeptSubscription("home/#", 2, 9))
    store.journal.receive(sid, 65535)
    await store.commit()
    await store.crash()
    [found] = (await store.open()).sessions
    assert (found.key, found.version, found.expiry_s, found.left_s) == (KEY, 4, 7200, 12.5)
    assert found.subscriptions == [KeptSubscription("home/#", 2, 9)]
    assert found.received == [65535]


async def test_every_field_of_a_message_comes_back(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 5, 3600)
    sent = Message(
        "häuser/1",
        "häuser/1".encode(),
        bytes(range(256)) * 300,
        2,
        retain=True,
        properties=b"\x03\x00\x04json",
        origin="somebody",
    )
    store.journal.enqueue(sent, [(sid, 17, 6, b"\x0b\x05")])
    await again(store)
    await store.close()
    [session] = (await store.open()).sessions
    [delivery] = session.deliveries
    found, flags, identifiers = delivery.outgoing
    assert (delivery.packet_id, delivery.is_released) == (17, False)
    assert (flags, identifiers) == (6, b"\x0b\x05")
    for name in ("topic", "raw", "payload", "qos", "retain", "properties", "expires_at"):
        assert getattr(found, name) == getattr(sent, name), name


async def test_one_message_for_many_is_one_object_again(store: JournalStore) -> None:
    sids = [store.journal.new_session(KEY, 4, 60), store.journal.new_session(OTHER, 4, 60)]
    store.journal.enqueue(message(), [(sid, 1, 1, b"") for sid in sids])
    await store.close()
    first, second = (await store.open()).sessions
    assert first.deliveries[0].outgoing[0] is second.deliveries[0].outgoing[0]


async def test_what_is_over_does_not_come_back(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    for number in (1, 2, 3):
        store.journal.enqueue(message(b"%d" % number), [(sid, number, 1, b"")])
    await store.commit()
    store.journal.finish(sid, 2)
    store.journal.finish(sid, 99)  # never heard of
    await store.commit()
    await store.crash()
    [session] = (await store.open()).sessions
    assert [each.packet_id for each in session.deliveries] == [1, 3]


async def test_a_packet_id_used_again_names_the_new_message(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    store.journal.enqueue(message(b"keeps its segment"), [(sid, 2, 1, b"")])
    store.journal.enqueue(message(b"old"), [(sid, 1, 1, b"")])
    await store.commit()
    store.journal.finish(sid, 1)
    store.journal.enqueue(message(b"new"), [(sid, 1, 1, b"")])
    await store.commit()
    await store.crash()
    [session] = (await store.open()).sessions
    payloads = [each.outgoing[0].payload for each in session.deliveries]
    assert payloads == [b"keeps its segment", b"new"]


async def test_a_released_delivery_owes_pubrel(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    store.journal.enqueue(message(qos=2), [(sid, 1, 2, b"")])
    await store.commit()
    assert store.journal.release(sid, 1) == store.journal.number
    assert store.journal.release(sid, 5) == 0, "nothing to wait for: it is not known"
    await again(store)
    await store.close()
    [session] = (await store.open()).sessions
    assert [each.is_released for each in session.deliveries] == [True]


async def test_a_dropped_session_takes_everything_with_it(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    store.journal.subscribe(sid, KeptSubscription("a", 0))
    store.journal.receive(sid, 1)
    store.journal.enqueue(message(), [(sid, 1, 1, b"")])
    await store.commit()
    store.journal.drop_session(sid)
    await store.commit()
    for table in ("sessions", "subscriptions", "received", "segments"):
        assert await store.count(f"mqtt_{table}") == 0, table


async def test_a_session_number_is_never_used_twice(store: JournalStore) -> None:
    used = []
    for _ in range(3):
        sid = store.journal.new_session(KEY, 4, 60)
        used.append(sid)
        await store.commit()
        store.journal.drop_session(sid)
        await again(store)
    assert len(set(used)) == 3


async def test_a_number_that_only_a_note_knows_is_not_given_again(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    await store.close()
    note = segments.encoded_notes(segments.FINISHED, [1])
    row = (9, segments.checksum(9, note), note)
    await store.change("INSERT INTO mqtt_segments (id, crc, data) VALUES (?, ?, ?)", *row)
    await store.open()
    store.journal.enqueue(message(), [(sid, 1, 1, b"")])
    await store.commit()
    [(data,)] = await store.committer.read(
        lambda c: c.execute("SELECT data FROM mqtt_segments ORDER BY id DESC LIMIT 1").fetchall()
    )
    [found] = segments.decode(data).messages
    assert found.targets[0].sequence == 2


# ---- when ----


async def test_a_group_is_durable_as_a_whole_and_says_so(store: JournalStore) -> None:
    heard = listen(store.journal)
    sid = store.journal.new_session(KEY, 4, 60)
    first = store.journal.enqueue(message(), [(sid, 1, 1, b"")])
    assert first == store.journal.number > store.journal.through
    await store.commit()
    second = store.journal.receive(sid, 1)
    assert second > first
    assert heard() == [first]
    assert store.journal.through == first
    await store.commit()
    assert heard() == [first, second]


async def test_a_commit_without_notes_says_nothing(store: JournalStore) -> None:
    heard = listen(store.journal)
    await store.commit()
    assert heard() == []
    assert store.journal.number == 1


@pytest.mark.parametrize("delay_s", [0.0, 0.03])
async def test_whoever_waits_gets_a_commit_within_the_ack_delay(
    store: JournalStore, delay_s: float
) -> None:
    await again(store, JournalLimits(ack_delay_s=delay_s, loss_window_s=600))
    sid = store.journal.new_session(KEY, 4, 60)
    wanted = store.journal.enqueue(message(), [(sid, 1, 1, b"")])
    assert store.journal.through < wanted
    await eventually(lambda: store.journal.through >= wanted)
    later = store.journal.receive(sid, 1)
    await eventually(lambda: store.journal.through >= later)


async def test_a_subscription_does_not_wait_for_the_ack_delay(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    wanted = store.journal.subscribe(sid, KeptSubscription("a", 0))
    await eventually(lambda: store.journal.through >= wanted)


async def test_what_nobody_waits_for_is_written_within_the_loss_window(store: JournalStore) -> None:
    await again(store, JournalLimits(ack_delay_s=600, loss_window_s=0.03))
    store.journal.will(KEY, message())
    await eventually(lambda: store.committer.commits >= 2)
    assert await store.count("mqtt_wills") == 1


async def test_many_notes_do_not_wait(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    for number in range(1, 258):
        wanted = store.journal.enqueue(message(), [(sid, number, 1, b"")])
    await eventually(lambda: store.journal.through >= wanted)


async def test_many_bytes_do_not_wait(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    wanted = store.journal.enqueue(message(bytes(70_000)), [(sid, 1, 1, b"")])
    await eventually(lambda: store.journal.through >= wanted)


# ---- retained messages and wills ----


async def test_retained_messages_above_qos_0_are_waited_for(store: JournalStore) -> None:
    assert store.journal.retain(message(qos=1)) == store.journal.number
    assert store.journal.retain(message(qos=0, topic="other")) == 0
    assert store.journal.retain(message(qos=1, topic="node"), is_node=True) == 0
    await store.commit()
    await store.crash()
    [found] = (await store.open()).retained
    assert (found.message.topic, found.is_node) == ("home/hall", False)


async def test_retained_qos_0_is_written_once_a_loss_window(store: JournalStore) -> None:
    await again(store, JournalLimits(ack_delay_s=600, loss_window_s=0.05))
    for number in range(50):
        store.journal.retain(message(b"%d" % number, qos=0))
    await eventually(lambda: store.journal.through >= 1)
    assert store.journal.number == 2, "one group for all"
    await store.crash()
    [found] = (await store.open()).retained
    assert found.message.payload == b"49"


async def test_topics_of_the_node_are_written_at_stop(store: JournalStore) -> None:
    for number in range(3):
        store.journal.retain(message(b"%d" % number, qos=1), is_node=True)
    store.journal.retain(message(qos=0, topic="lazy"))
    await store.close()
    node, lazy = (await store.open()).retained
    assert (node.message.payload, node.is_node) == (b"2", True)
    assert (lazy.message.topic, lazy.is_node) == ("lazy", False)


async def test_topics_of_the_node_are_written_at_their_time(store: JournalStore) -> None:
    await again(store, JournalLimits(ack_delay_s=600, loss_window_s=600, checkpoint_s=0.03))
    store.journal.retain(message(), is_node=True)
    await eventually(lambda: store.journal.through >= 1)
    assert await store.count("mqtt_retained") == 1


async def test_an_empty_payload_clears_a_retained_topic(store: JournalStore) -> None:
    store.journal.retain(message())
    await store.commit()
    store.journal.retain(message(b""))
    await store.commit()
    assert await store.count("mqtt_retained") == 0


async def test_the_newest_retained_message_wins_whoever_waits(store: JournalStore) -> None:
    store.journal.retain(message(b"lazy", qos=0))
    store.journal.retain(message(b"waited for", qos=1))
    wanted = store.journal.retain(message(b"last", qos=0))
    assert wanted == store.journal.number, "its group is the one that others wait for"
    store.journal.retain(message(b"kept by the node", topic="node"), is_node=True)
    store.journal.retain(message(b"lazy", topic="node", qos=0))
    await store.commit()
    await store.close()
    [found, other] = (await store.open()).retained
    assert (found.message.payload, other.message.payload) == (b"last", b"lazy")


async def test_numbers_go_on_after_a_restart(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    for number in (1, 2, 3):
        store.journal.enqueue(message(b"%d" % number), [(sid, number, 1, b"")])
    await store.commit()
    store.journal.finish(sid, 3)
    await again(store)
    store.journal.enqueue(message(b"4"), [(sid, 4, 1, b"")])
    await again(store)
    await store.close()
    [session] = (await store.open()).sessions
    assert [each.packet_id for each in session.deliveries] == [1, 2, 4]


async def test_a_will_is_found_until_it_is_forgotten(store: JournalStore) -> None:
    store.journal.will(KEY, message(b"died"), 30)
    store.journal.will(OTHER, message(b"died"), 0)
    await store.commit()
    store.journal.will(OTHER, None)
    await again(store)
    await store.close()
    [will] = (await store.open()).wills
    assert (will.key, will.message.payload, will.message.topic) == (KEY, b"died", "home/hall")
    assert will.delay_s == 30


# ---- time ----


@pytest.mark.parametrize(("stepped_s", "left_s"), [(40, 60.0), (-86_400, 100.0), (500, -400.0)])
async def test_a_message_ages_while_the_process_is_down(
    store: JournalStore, stepped_s: int, left_s: float
) -> None:
    sid = store.journal.new_session(KEY, 5, 60)
    sent = Message("t", b"t", b"x", 1, expires_at=store.now() + 100.0)
    store.journal.enqueue(sent, [(sid, 1, 1, b"")])
    store.journal.retain(sent)
    await store.close()
    store.clock.step_wall(stepped_s * 1000)
    store.now.seconds = 5.0  # another boot
    kept = await store.open()
    assert kept.sessions[0].deliveries[0].outgoing[0].expires_at == 5.0 + left_s
    assert kept.retained[0].message.expires_at == 5.0 + left_s


# ---- bounds ----


async def test_the_log_holds_only_what_still_waits(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    for number in range(1, 101):
        store.journal.enqueue(message(), [(sid, number, 1, b"")])
        await store.commit()
        store.journal.finish(sid, number)
    await store.commit()
    assert await store.count("mqtt_segments") == 0
    assert (store.journal.live_bytes, store.journal.log_bytes) == (0, 0)


async def test_one_stuck_receiver_does_not_hold_the_log_of_all(store: JournalStore) -> None:
    await again(store, JournalLimits(600, 600, 600, least_log_bytes=8192))
    stuck = store.journal.new_session(KEY, 4, 60)
    quick = store.journal.new_session(OTHER, 4, 60)
    store.journal.enqueue(message(b"first"), [(stuck, 1, 1, b""), (quick, 1, 1, b"")])
    store.journal.enqueue(message(b"second"), [(stuck, 2, 2, b"")])
    store.journal.release(stuck, 2)
    for number in range(2, 200):
        store.journal.enqueue(message(bytes(200)), [(quick, number, 1, b"")])
        await store.commit()
        store.journal.finish(quick, number)
    assert store.journal.log_bytes < 10_000
    await store.commit()
    await store.crash()
    kept = await store.open()
    waiting = [(d.outgoing[0].payload, d.is_released) for d in kept.sessions[0].deliveries]
    assert waiting == [(b"first", False), (b"second", True)]


async def test_the_order_of_a_session_survives_copying(store: JournalStore) -> None:
    await again(store, JournalLimits(600, 600, 600, least_log_bytes=2048))
    sid = store.journal.new_session(KEY, 4, 60)
    for number in range(1, 120):
        store.journal.enqueue(message(b"%d" % number), [(sid, number, 1, b"")])
        await store.commit()
        if number % 3:
            store.journal.finish(sid, number)
    await again(store)
    await store.close()
    [session] = (await store.open()).sessions
    assert [each.packet_id for each in session.deliveries] == list(range(3, 120, 3))


async def test_a_full_journal_says_so_until_there_is_room(store: JournalStore) -> None:
    await again(store, JournalLimits(600, 600, most_bytes=10_000))
    sid = store.journal.new_session(KEY, 4, 60)
    assert not store.journal.is_full
    store.journal.enqueue(message(bytes(6_000)), [(sid, 1, 1, b"")])
    await store.commit()
    store.journal.enqueue(message(bytes(6_000)), [(sid, 2, 1, b"")])
    assert store.journal.is_full
    store.journal.finish(sid, 1)
    await store.commit()
    assert not store.journal.is_full


async def test_how_full_it_is_survives_a_restart(store: JournalStore) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    store.journal.enqueue(message(bytes(6_000)), [(sid, 1, 1, b"")])
    await store.commit()
    before = (store.journal.live_bytes, store.journal.log_bytes)
    await again(store)
    assert (store.journal.live_bytes, store.journal.log_bytes) == before
    store.journal.finish(sid, 1)
    assert store.journal.live_bytes == 0


# ---- damage ----


async def test_a_damaged_segment_is_skipped_counted_and_named(
    store: JournalStore, caplog: pytest.LogCaptureFixture
) -> None:
    sid = store.journal.new_session(KEY, 4, 60)
    for number in (1, 2, 3):
        store.journal.enqueue(message(b"payload %d" % number), [(sid, number, 1, b"")])
        await store.commit()
    await store.close()
    await store.change(
        "UPDATE mqtt_segments SET data = CAST(replace(data, 'payload 2', 'payload 9') AS BLOB)"
        " WHERE id = 2"
    )
    with caplog.at_level(logging.ERROR):
        kept = await store.open()
    assert [each.packet_id for each in kept.sessions[0].deliveries] == [1, 3]
    assert kept.damaged == store.journal.damaged == 1
    assert [record.__dict__["code"] for record in caplog.records] == ["GW-1530"]
    await store.close()
    assert (await store.open()).damaged == 0, "it is told once"


async def test_a_damaged_segment_that_would_be_copied_is_left_behind(store: JournalStore) -> None:
    await again(store, JournalLimits(600, 600, 600, least_log_bytes=4096))
    sid = store.journal.new_session(KEY, 4, 60)
    store.journal.enqueue(message(b"lost"), [(sid, 1, 1, b"")])
    await store.commit()
    await store.committer.transaction(lambda c: c.execute("UPDATE mqtt_segments SET crc = crc + 1"))
    for number in range(2, 30):
        store.journal.enqueue(message(bytes(200)), [(sid, number, 1, b"")])
        await store.commit()
        store.journal.finish(sid, number)
    assert store.journal.damaged == 1
    store.journal.finish(sid, 1)  # its receiver had it from memory
    await again(store)
    assert store.journal.live_bytes == 0


async def test_damaged_retained_messages_wills_and_sessions_are_dropped_and_counted(
    store: JournalStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.journal.new_session(KEY, 4, 60)
    for topic in ("a", "b"):
        store.journal.retain(message(topic=topic))
    store.journal.will(KEY, message())
    await store.close()
    await store.change("UPDATE mqtt_retained SET crc = crc + 1 WHERE topic = x'61'")
    await store.change("UPDATE mqtt_wills SET data = x'0102'")
    await store.change("UPDATE mqtt_sessions SET kind = 'usfr'")
    with caplog.at_level(logging.ERROR):
        kept = await store.open()
    assert [each.message.topic for each in kept.retained] == ["b"]
    assert (kept.wills, kept.sessions, kept.damaged) == ([], [], 3)
    assert {record.__dict__["code"] for record in caplog.records} == {"GW-1531"}
    await store.close()
    assert (await store.open()).damaged == 0
