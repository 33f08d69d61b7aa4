"""A client's state: windows, queues, and acknowledgements in the order of the packets."""

from collections.abc import Iterator

import pytest

from gateway.mqtt.packets import ack, head1
from gateway.mqtt.ports import Principal, PrincipalKind
from gateway.mqtt.session import (
    MAX_RECEIVED,
    PAUSE_SHARE,
    QUEUE_COUNT,
    REPLAY_BYTES,
    RESUME_SHARE,
    SEND_WINDOW,
    UNACKED_BYTES,
    UNACKED_COUNT,
    MqttSession,
)

HEAD = head1(b"t", 1)


def made() -> tuple[MqttSession, list[bytes]]:
    session = MqttSession(Principal(PrincipalKind.USER, "u"), "c", lambda _: None)
    written: list[bytes] = []
    session.attached(written.append)
    return session, written


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
        session.send1(HEAD, b"x")
    assert len(session.inflight) == SEND_WINDOW
    assert len(session.queue) == 3
    session.acknowledged(1)
    session.acknowledged(1)
    assert (len(session.inflight), len(session.queue)) == (SEND_WINDOW, 2)


def test_a_packet_id_in_flight_is_never_given_twice() -> None:
    session, _ = made()
    session.send1(HEAD, b"first")
    session._next_id = 65535
    session.send1(HEAD, b"second")
    assert sorted(session.inflight) == [1, 2]


def test_a_client_that_is_behind_loses_qos_0_and_keeps_qos_1() -> None:
    session, _ = made()
    session.is_behind = True
    assert not session.send0(b"lost")
    assert session.send1(HEAD, b"kept")
    session.is_behind = False
    session.pump()
    assert b"kept" in session.out
    assert session.dropped == 1


def test_a_full_queue_drops_and_counts() -> None:
    session, _ = made()
    session.is_behind = True
    results = [session.send1(HEAD, b"x") for _ in range(QUEUE_COUNT + 2)]
    assert results.count(False) == 2
    assert session.dropped == 2


def test_unacknowledged_messages_come_again_marked_as_duplicates() -> None:
    session, _ = made()
    session.send1(HEAD, b"x")
    session.detached()
    written: list[bytes] = []
    session.attached(written.append)
    session.flush()
    assert written == [bytes((0x3A,)) + HEAD[1:] + b"\0\x01x"]


def test_acknowledgements_leave_in_packet_order_even_when_settled_out_of_order() -> None:
    session, _ = made()
    session.acknowledge(b"first", 5, 0, 1)
    session.acknowledge(b"second", 0, 0, 1)
    session.acknowledge(b"third", 3, 0, 1)
    assert session.release(4)
    assert session.out == []
    assert not session.release(5)
    assert session.out == [b"first", b"second", b"third"]
    assert session.unacked_bytes == 0


def test_what_is_settled_already_is_answered_at_once() -> None:
    session, _ = made()
    session.acknowledge(b"now", 3, 3, 1)
    assert session.out == [b"now"]


@pytest.mark.parametrize(("count", "size"), [(UNACKED_COUNT, 1), (4, UNACKED_BYTES // 4)])
def test_too_much_unsettled_is_over_until_half_of_it_is_gone(count: int, size: int) -> None:
    session, _ = made()
    for number in range(1, count + 1):
        session.acknowledge(b"a", number, 0, size)
    assert session.is_over(PAUSE_SHARE)
    session.release(count // 2 - 1)
    assert session.is_over(RESUME_SHARE)
    session.release(count // 2)
    assert not session.is_over(RESUME_SHARE)


def test_qos_2_is_remembered_until_released_and_bounded() -> None:
    session, _ = made()
    assert all(session.take(number, 0) for number in range(MAX_RECEIVED))
    assert not session.take(MAX_RECEIVED, 0)
    session.released(7)
    assert not session.is_repeated(7)
    assert session.out == [ack(0x70, 7)]


def test_a_long_replay_goes_out_in_portions() -> None:
    session, written = made()
    payload = b"x" * 10_000

    def replay() -> Iterator[tuple[bytes, bytes, int]]:
        yield from ((b"t", payload, 0) for _ in range(100))

    session.replays.append(replay())
    session.pump()
    assert sum(map(len, session.out)) < REPLAY_BYTES + 2 * len(payload)
    while session.out:
        session.flush()
    assert sum(map(len, written)) > 100 * len(payload)
    assert len(written) > 1
