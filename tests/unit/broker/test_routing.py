"""Routing: encoded once, written once a tick; the disk where it must be."""

from gateway.broker.routing import Routing
from gateway.mqtt.journal import NoJournal
from gateway.mqtt.outbound import LARGE_BYTES, LARGE_WINDOW
from gateway.mqtt.session import MqttSession
from tests.fakes.mqtt_broker import PRINCIPALS, publish
from tests.fakes.mqtt_sessions import SlowJournal, message


def client(
    routing: Routing, name: str, pattern: str, mark: int = 0, version: int = 4
) -> tuple[MqttSession, list[bytes]]:
    session = MqttSession(PRINCIPALS["admin"], name, routing)
    session.version = version
    written: list[bytes] = []
    session.attached(written.append)
    routing.subscriptions.add(session, pattern, mark)
    return session, written


async def test_a_message_for_many_is_encoded_once() -> None:
    routing = Routing(NoJournal())
    sessions = [client(routing, f"c{number}", "a")[0] for number in range(3)]
    routing.publish(message("a"))
    first = sessions[0].out[0]
    assert first == publish("a", b"x")
    assert all(session.out[0] is first for session in sessions)


async def test_each_receiver_gets_its_own_dialect() -> None:
    routing = Routing(NoJournal())
    old, _ = client(routing, "old", "a")
    new, _ = client(routing, "new", "a", version=5)
    routing.publish(message("a", properties=b"\x01\x01"))
    assert old.out == [publish("a", b"x")]
    assert new.out == [b"\x30\x07\0\x01a\x02\x01\x01x"]


async def test_a_tick_is_one_write_for_each_client() -> None:
    routing = Routing(NoJournal())
    _, written = client(routing, "c", "a")
    for payload in (b"1", b"2", b"3"):
        routing.publish(message("a", payload, 0))
    assert written == []
    routing.flush()
    assert written == [publish("a", b"1") + publish("a", b"2") + publish("a", b"3")]


async def test_a_full_retained_store_still_delivers() -> None:
    routing = Routing(NoJournal())
    routing.retained.max_count = 0
    session, _ = client(routing, "c", "a")
    routing.publish(message("a", qos=0, retain=True))
    assert session.out == [publish("a", b"x")]
    assert routing.retained_refused == 1


async def test_a_session_that_goes_takes_its_filters_along() -> None:
    routing = Routing(NoJournal())
    session, _ = client(routing, "c", "a/#")
    client(routing, "d", "$share/g/a/#")
    routing.subscriptions.forget(session)
    routing.publish(message("a/b", qos=0))
    assert session.out == []
    assert len(routing.trie.match("a/b")) == 1


async def test_live_clean_sessions_are_served_before_the_disk_and_kept_ones_after() -> None:
    journal = SlowJournal()
    routing = Routing(journal)
    clean, _ = client(routing, "clean", "a", 1)
    kept, _ = client(routing, "kept", "a", 1)
    kept.sid = 4
    routing.publish(message("a", b"both"))
    assert b"both" in clean.out
    assert kept.out == []
    assert journal.notes[-1] == ("enqueue", b"both", (4, 1, 1, b""))
    assert routing.noted == 1
    journal.commit()
    routing.durable()
    assert b"both" in kept.out
    assert not routing.held


async def test_a_shared_subscription_is_served_in_turn_by_those_who_keep_up() -> None:
    routing = Routing(NoJournal())
    sessions = [client(routing, name, "$share/g/a", 1)[0] for name in "abc"]
    sessions[1].is_behind = True
    for number in range(4):
        routing.publish(message("a", bytes((number,))))
    assert [len(session.inflight) for session in sessions] == [2, 0, 2]
    assert sessions[1].queued == 0


async def test_a_shared_message_goes_to_the_kept_member_when_nobody_is_there() -> None:
    routing = Routing(NoJournal())
    away = client(routing, "away", "$share/g/a", 1)[0]
    away.detached()
    routing.publish(message("a"))
    assert away.queued == 1


async def test_what_a_member_never_finished_goes_to_the_others() -> None:
    routing = Routing(NoJournal())
    gone, _ = client(routing, "gone", "$share/g/a", 1)
    routing.publish(message("a", b"unfinished"))
    stays, _ = client(routing, "stays", "$share/g/a", 1)
    routing.subscriptions.forget(gone)
    assert b"unfinished" in stays.out


async def test_a_stuck_member_takes_no_more_than_its_window_of_large_messages() -> None:
    routing = Routing(NoJournal())
    stuck, _ = client(routing, "stuck", "$share/g/a", 1)
    works, _ = client(routing, "works", "$share/g/a", 1)
    for _ in range(3 * LARGE_WINDOW):
        routing.publish(message("a", b"x" * (LARGE_BYTES + 1)))
        works.acknowledged(works._next_id)
    assert (len(stuck.inflight), stuck.queued) == (LARGE_WINDOW, 0)
