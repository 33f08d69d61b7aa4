"""What a client is sent: windows, queues and their bounds, the disk, duplicates, sizes and aliases."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.message import RETAIN_FLAG, Outgoing
from gateway.mqtt.outbound import REPLAY_AHEAD, REPLAY_BYTES, REPLAY_FILTERS, SEND_WINDOW
from gateway.mqtt.queues import DropPolicy, QueueBounds
from tests.fakes.mqtt_sessions import FakeHost, made, outgoing


def test_everything_of_a_tick_is_one_write() -> None:
    session, written = made()
    session.send0(b"one")
    session.send0(b"two")
    session.flush()
    session.flush()
    assert written == [b"onetwo"]


def test_the_window_holds_back_and_acknowledgements_let_through() -> None:
    session, _ = made()
    for _ in range(SEND_WINDOW + 3):
        session.send(outgoing())
    assert len(session.inflight) == SEND_WINDOW
    assert session.queued == 3
    session.acknowledged(1)
    session.acknowledged(1)
    assert (len(session.inflight), session.queued) == (SEND_WINDOW, 2)


def test_a_client_that_acknowledges_what_was_not_sent_loses_nothing() -> None:
    session, _ = made()
    session.window = 1
    session.send(outgoing())
    session.send(outgoing(b"waits"))
    session.acknowledged(2)
    session.completed(2)
    assert session.queued == 1
    session.acknowledged(1)
    assert b"waits" in session.out


def test_a_packet_id_in_flight_is_never_given_twice() -> None:
    session, _ = made()
    session.send(outgoing())
    session._next_id = 65535
    session.send(outgoing())
    assert sorted(session.inflight) == [1, 2]


def test_a_client_that_is_behind_loses_qos_0_and_keeps_qos_1() -> None:
    session, _ = made()
    session.is_behind = True
    assert not session.send0(b"lost")
    assert session.send(outgoing(b"kept"))
    session.is_behind = False
    session.pump()
    assert b"kept" in session.out
    assert session.dropped == 1


@given(st.lists(st.binary(max_size=30)), st.sampled_from(DropPolicy))
def test_bounds_hold_and_every_message_is_queued_or_counted(
    payloads: list[bytes], policy: DropPolicy
) -> None:
    host = FakeHost(QueueBounds(count=5, bytes=60, policy=policy, all_bytes=100))
    session, _ = made(host)
    session.is_behind = True
    for payload in payloads:
        session.send(outgoing(payload))
    assert session.queued <= 5
    assert session.queued_bytes <= 60
    assert session.queued + session.dropped == len(payloads)
    assert host.bounds.used_bytes == session.queued_bytes
    session.discard()
    assert host.bounds.used_bytes == 0


@pytest.mark.parametrize(
    ("policy", "left"), [(DropPolicy.OLDEST, [b"2", b"3"]), (DropPolicy.NEWEST, [b"1", b"2"])]
)
def test_the_policy_says_who_makes_room(policy: DropPolicy, left: list[bytes]) -> None:
    session, _ = made(FakeHost(QueueBounds(count=2, policy=policy)))
    session.is_behind = True
    for payload in (b"1", b"2", b"3"):
        session.send(outgoing(payload))
    assert [item[2][0].payload for item in session.unsent or ()] == left


def test_one_glutton_cannot_take_the_room_of_all() -> None:
    host = FakeHost(QueueBounds(bytes=100, all_bytes=150))
    sessions = [made(host)[0] for _ in range(3)]
    for session in sessions:
        session.is_behind = True
        for _ in range(20):
            session.send(outgoing(b"123456789"))
    assert host.bounds.used_bytes <= 150


def test_unacknowledged_messages_come_again_marked_as_duplicates_and_in_order() -> None:
    session, _ = made()
    session.send(outgoing(b"1"))
    session.send(outgoing(b"2"))
    session.window = 2
    session.send(outgoing(b"3"))
    session.detached()
    written: list[bytes] = []
    session.window = 3
    session.attached(written.append)
    session.flush()
    head, again = b"\x32\x06\0\x01t", b"\x3a\x06\0\x01t"
    assert written == [again + b"\0\x011" + again + b"\0\x022" + head + b"\0\x033"]


def test_a_smaller_window_of_the_next_connection_holds_for_duplicates_too() -> None:
    session, _ = made()
    for _ in range(5):
        session.send(outgoing())
    session.detached()
    session.window = 2
    session.attached(lambda _: None)
    assert (len(session.inflight), session.queued) == (2, 3)


def test_a_delivery_that_the_journal_keeps_waits_for_the_disk() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.sid = 7
    assert session.enqueue(outgoing(b"kept"), host.journal.number) == 1
    session.pump()
    assert session.out == []
    assert host.held == {session}
    host.journal.commit()
    session.pump()
    assert b"kept" in session.out
    session.acknowledged(1)
    assert host.journal.notes == [("finish", 7, 1)]


def test_what_the_policy_drops_the_journal_forgets() -> None:
    host = FakeHost(QueueBounds(count=1))
    session, _ = made(host)
    session.sid = 7
    first = session.enqueue(outgoing(b"1"), 1)
    assert session.enqueue(outgoing(b"2"), 1)
    assert host.journal.notes == [("finish", 7, first)]


def test_qos_2_is_sent_again_only_until_the_client_has_it() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.send(outgoing(flags=2))
    assert session.taken(1) == 0
    assert session.is_released(1)
    assert session.taken(1) == 0
    session.detached()
    session.attached(lambda _: None)
    assert session.out == [b"\x62\x02\0\x01"]
    assert session.completed(1)
    assert not session.completed(1)


def test_pubrel_waits_for_the_disk_where_a_journal_keeps_the_session() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.sid = 3
    session.enqueue(outgoing(flags=2), 0)
    session.pump()
    assert session.taken(1) == host.journal.number
    assert host.journal.notes == [("release", 3, 1)]


def test_a_puback_does_not_end_a_qos_2_exchange_nor_a_pubrec_one_of_qos_1() -> None:
    session, _ = made()
    session.send(outgoing(flags=2))
    session.send(outgoing(flags=1))
    session.acknowledged(1)
    session.taken(2)
    assert sorted(session.inflight) == [1, 2]


def test_an_error_in_pubrec_ends_the_exchange() -> None:
    session, _ = made(version=5)
    session.send(outgoing(flags=2))
    assert session.taken(1, is_refused=True) is None
    assert session.unfinished == 0


def test_what_has_expired_is_not_sent() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.is_behind = True
    session.send(outgoing(b"old", expires_at=5.0))
    session.send(outgoing(b"new", expires_at=50.0))
    host.clock, session.is_behind = 10.0, False
    session.pump()
    session.flush()
    assert [o[0].payload for o in session.inflight.values()] == [b"new"]


def test_a_packet_too_large_for_the_client_counts_as_delivered() -> None:
    host = FakeHost()
    session, _ = made(host, version=5)
    session.most_bytes = 20
    session.most_aliases = 1
    for _ in range(2):
        session.send(outgoing(b"x" * 30))
        assert not session.send_plain(outgoing(b"x" * 30, 0))
    assert (session.unfinished, session.out, session.dropped) == (0, [], 4)
    session.send(outgoing(b"y"))
    # The first packet that does go carries the topic beside its alias.
    assert session.out == [b"\x32\x0a\0\x01t\0\x03\x03\x23\0\x01y"]


def test_a_topic_is_named_once_and_then_by_its_alias() -> None:
    session, _ = made(version=5)
    session.most_aliases = 1
    session.send_plain(outgoing(b"1", 0))
    session.send_plain(outgoing(b"2", 0))
    assert session.out == [b"\x30\x08\0\x01t\x03\x23\0\x011", b"\x30\x07\0\0\x03\x23\0\x012"]
    session.detached()
    session.attached(lambda _: None)
    session.send_plain(outgoing(b"3", 0))
    assert session.out == [b"\x30\x08\0\x01t\x03\x23\0\x013"]


def test_a_long_replay_goes_out_in_portions() -> None:
    session, written = made()
    payload = b"x" * 10_000

    def replay() -> Iterator[Outgoing]:
        yield from (outgoing(payload, 0) for _ in range(100))

    session.replays = {"t": replay()}
    session.pump()
    assert sum(map(len, session.out)) < REPLAY_BYTES + 2 * len(payload)
    while session.out:
        session.flush()
    assert sum(map(len, written)) > 100 * len(payload)
    assert len(written) > 1


def test_a_restored_session_gives_no_packet_id_that_is_in_use() -> None:
    session, _ = made()
    session.detached()
    session.restore([(65535, -1, outgoing()), (1, -1, outgoing())], [2])
    session.attached(lambda _: None)
    session.send(outgoing())
    assert sorted(session.inflight) == [1, 3, 65535]


def test_a_replay_to_a_kept_session_goes_on_after_the_commit() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.sid = 7
    session.replays = {"t": iter([outgoing(b"kept", 1 | RETAIN_FLAG)])}
    session.pump()
    assert (session.out, host.held) == ([], {session})
    host.journal.commit()
    session.pump()
    assert session.out[0].endswith(b"kept")


def test_a_turn_looks_up_only_a_few_filters() -> None:
    session, _ = made()
    session.replays = {f"t/{number}": iter(()) for number in range(2 * REPLAY_FILTERS + 1)}
    for left in (REPLAY_FILTERS + 1, 1, 0):
        session.pump()
        assert len(session.replays) == left
        session.replay_room = REPLAY_BYTES  # the next turn


def test_a_replay_that_nobody_takes_ends_nevertheless() -> None:
    host = FakeHost()
    session, _ = made(host, version=5)
    session.most_bytes = 20
    count = 2 * REPLAY_BYTES // 1000
    session.replays = {"t": iter([outgoing(b"x" * 1000, 0)] * count)}
    session.pump()
    while host.woken:
        host.woken.pop().flush()
    assert not session.replays
    assert session.dropped == count


def test_retained_messages_wait_for_acknowledgements_instead_of_being_dropped() -> None:
    session, _ = made(FakeHost(QueueBounds(count=REPLAY_AHEAD)))
    count = SEND_WINDOW + 3 * REPLAY_AHEAD
    session.replays = {"t": iter([outgoing() for _ in range(count)])}
    session.pump()
    for number in range(1, count + 1):
        assert session.queued <= REPLAY_AHEAD
        session.acknowledged(number)
    assert (session.sent, session.dropped, session.unfinished) == (count, 0, 0)
