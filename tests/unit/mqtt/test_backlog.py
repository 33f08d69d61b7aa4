"""What waits for a client: room is made only where that helps, and an exchange that has begun stays."""

from gateway.mqtt.backlog import FOUND, SENT_BEFORE, has_begun
from gateway.mqtt.message import Message
from gateway.mqtt.queues import DropPolicy, QueueBounds
from gateway.mqtt.session import MqttSession
from tests.fakes.mqtt_sessions import USER, FakeHost, made, message, outgoing


def offline(host: FakeHost) -> MqttSession:
    """Return a session without a connection."""
    return MqttSession(USER, "c", host)


def payloads(session: MqttSession) -> list[bytes]:
    """Return what waits, in order."""
    return [item[2][0].payload for item in session.unsent or ()]


def ids(session: MqttSession) -> list[int]:
    """Return every packet id that a message uses, in flight or waiting."""
    return [*session.inflight, *(item[0] for item in session.unsent or ())]


def test_a_message_too_large_for_the_queue_costs_no_other_message() -> None:
    session = offline(FakeHost(QueueBounds(bytes=1000)))
    for _ in range(9):
        session.send(outgoing(b"x" * 99))
    assert not session.send(outgoing(b"x" * 2000))
    assert (session.queued, session.dropped) == (9, 1)


def test_room_that_others_have_taken_costs_a_session_nothing_in_vain() -> None:
    host = FakeHost(QueueBounds(all_bytes=5000))
    hog, victim = offline(host), offline(host)
    for _ in range(9):
        victim.send(outgoing(b"x" * 99))
    for _ in range(4):
        hog.send(outgoing(b"x" * 999))
    assert not victim.send(outgoing(b"x" * 1500))
    assert (victim.queued, victim.dropped) == (9, 1)


def test_a_message_that_fits_once_older_ones_are_gone_takes_their_place() -> None:
    host = FakeHost(QueueBounds(all_bytes=500))
    session = offline(host)
    for payload in (b"1" * 199, b"2" * 199, b"3" * 299):
        assert session.send(outgoing(payload))
    assert payloads(session) == [b"2" * 199, b"3" * 299]
    assert host.bounds.used_bytes == 500


def test_a_refused_message_uses_up_no_packet_id() -> None:
    session = offline(FakeHost(QueueBounds(count=200, policy=DropPolicy.NEWEST)))
    session.window = 100
    for _ in range(300):
        session.send(outgoing())
    session.attached(lambda _: None)
    for number in range(1, 101):
        session.acknowledged(number)
    for _ in range(100):
        session.send(outgoing(b"new"))
    assert ids(session) == list(range(101, 301))


def test_a_packet_id_that_waits_again_behind_a_smaller_window_is_not_given_twice() -> None:
    session, _ = made()
    for _ in range(50):
        session.send(outgoing())
    session.detached()
    session.window = 1
    session.attached(lambda _: None)
    session._next_id = 65_535  # the ids have come round
    session.send(outgoing(b"new"))
    assert sorted(ids(session)) == list(range(1, 52))


def test_the_policy_spares_exchanges_that_have_begun() -> None:
    session, _ = made(FakeHost(QueueBounds(count=5)))
    for number in range(20):
        session.send(outgoing(b"%d" % number, 2))
    session.detached()
    session.window = 1
    session.attached(lambda _: None)
    assert not session.send(outgoing(b"new", 2))
    assert (len(ids(session)), session.dropped) == (20, 1)


def test_the_policy_looks_behind_what_it_spares() -> None:
    host = FakeHost(QueueBounds(count=3))
    session, _ = made(host)
    session.sid = 7
    for _ in range(2):
        session.enqueue(outgoing(b"begun", 2), 0)
    session.pump()
    session.detached()
    session.window = 1
    session.attached(lambda _: None)
    for payload in (b"1", b"2", b"3"):
        session.enqueue(outgoing(payload), 0)
    assert payloads(session) == [b"begun", b"2", b"3"]
    assert host.journal.notes == [("finish", 7, 3)]


def test_a_restart_drops_nothing_of_a_full_queue_behind_a_full_window() -> None:
    host = FakeHost(QueueBounds(count=10))
    session = offline(host)
    session.restore([(n, FOUND, outgoing(b"%d" % n, 2)) for n in range(1, 14)], [])
    assert (session.queued, session.dropped) == (13, 0)
    assert host.bounds.used_bytes == session.queued_bytes > 0
    session.discard()
    assert host.bounds.used_bytes == 0


def test_after_a_restart_only_qos_2_counts_as_begun() -> None:
    assert has_begun(SENT_BEFORE, outgoing(flags=1))
    assert has_begun(FOUND, outgoing(flags=2))
    assert not has_begun(FOUND, outgoing(flags=1))
    assert not has_begun(5, outgoing(flags=2))


def test_what_may_no_longer_be_handed_over_goes_and_what_has_begun_stays() -> None:
    host = FakeHost()
    session = offline(host)
    secret = (message("secret", qos=2), 2, b"")
    session.restore([(1, FOUND, secret), (2, 0, secret), (3, 0, outgoing(b"open"))], [])
    session.sid = 7

    def is_open(one: Message) -> bool:
        return one.topic != "secret"

    session.drop_unless(is_open)
    assert [item[0] for item in session.unsent or ()] == [1, 3]
    assert (session.dropped, host.journal.notes) == (1, [("finish", 7, 2)])


def test_a_count_and_a_size_of_its_own_replace_everybodys() -> None:
    session = offline(FakeHost(QueueBounds(count=1)))
    session.own_bounds = (3, 1000)
    for payload in (b"1", b"2", b"3", b"4"):
        session.send(outgoing(payload))
    assert payloads(session) == [b"2", b"3", b"4"]
