"""A client's own publishes: acknowledgements in the order of the packets, QoS 2 once, bounds."""

import pytest

from gateway.mqtt.packets import ack
from gateway.mqtt.session import PAUSE_SHARE, RESUME_SHARE, UNACKED_BYTES, UNACKED_COUNT
from tests.fakes.mqtt_sessions import FakeHost, made, outgoing


def test_acknowledgements_leave_in_packet_order_even_when_settled_out_of_order() -> None:
    session, _ = made()
    session.acknowledge(b"first", 5, 0, through=0, size=1)
    session.acknowledge(b"second", 0, 0, through=0, size=1)
    session.acknowledge(b"third", 3, 0, through=0, size=1)
    assert session.release(4)
    assert session.out == []
    assert not session.release(5)
    assert session.out == [b"first", b"second", b"third"]
    assert session.unacked_bytes == 0


def test_an_acknowledgement_waits_for_the_spool_and_for_the_disk() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.acknowledge(b"both", 5, host.journal.number, through=0, size=1)
    assert session.release(5)
    host.journal.commit()
    assert session.release(4)
    assert not session.release(5)
    assert session.out == [b"both"]


def test_what_is_settled_already_is_answered_at_once() -> None:
    session, _ = made()
    session.acknowledge(b"now", 3, 0, through=3, size=1)
    assert session.out == [b"now"]


@pytest.mark.parametrize(("count", "size"), [(UNACKED_COUNT, 1), (4, UNACKED_BYTES // 4)])
def test_too_much_unsettled_is_over_until_half_of_it_is_gone(count: int, size: int) -> None:
    session, _ = made()
    for number in range(1, count + 1):
        session.acknowledge(b"a", number, 0, through=0, size=size)
    assert session.is_over(PAUSE_SHARE)
    session.release(count // 2 - 1)
    assert session.is_over(RESUME_SHARE)
    session.release(count // 2)
    assert not session.is_over(RESUME_SHARE)


def test_qos_2_is_remembered_until_released() -> None:
    session, _ = made()
    session.take(7, 5, 0)
    assert session.repeated(7) == (5, 0)
    assert session.forget(7) == (0, True)
    assert session.repeated(7) is None
    assert session.forget(7) == (0, False)


def test_the_journal_forgets_a_packet_id_before_pubcomp() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.sid = 2
    session.take(7, 0, host.journal.number)
    assert session.forget(7) == (host.journal.number, True)
    assert session.forget(7) == (host.journal.number, False)  # the repeated one waits for the same
    assert host.journal.notes == [("forget", 2, 7)]


def test_unfinished_messages_of_the_client_are_counted_once_each() -> None:
    session, _ = made()
    session.acknowledge(ack(0x40, 1), 1, 0, through=0, size=1)  # QoS 1, waits
    session.take(2, 1, 0)
    session.acknowledge(ack(0x50, 2), 1, 0, through=0, size=1)  # QoS 2, its PUBREC waits too
    assert session.exceeds(2)
    assert not session.exceeds(3)


def test_pubrel_of_a_new_connection_waits_for_the_disk_as_that_of_the_old_one_did() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.sid = 3
    session.enqueue(outgoing(flags=2), 0)
    session.pump()
    assert session.taken(1) == host.journal.number
    session.detached()
    session.attached(lambda _: None)
    assert session.out == []
    host.journal.commit()
    assert not session.release(0)
    assert session.out == [ack(0x62, 1)]


def test_pubrel_for_a_repeated_pubrec_waits_for_the_note_of_the_first() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.sid = 3
    session.enqueue(outgoing(flags=2), 0)
    session.pump()
    group = session.taken(1)
    host.journal.commit()
    assert session.taken(1) == group == host.journal.through
    assert host.journal.notes == [("release", 3, 1)]


def test_pubcomp_for_a_pubrel_repeated_over_a_new_connection_waits_for_the_disk() -> None:
    host = FakeHost()
    session, _ = made(host)
    session.sid = 3
    session.take(7, 0, host.journal.number)
    host.journal.commit()
    group, is_known = session.forget(7)
    assert is_known
    session.detached()
    session.attached(lambda _: None)
    assert session.forget(7) == (group, False)
    assert group > host.journal.through
