"""Routing: encoded once, written once a tick, and early when one tick brings too much."""

from gateway.broker.routing import UNFLUSHED_BYTES, Routing
from gateway.mqtt.session import MqttSession
from tests.fakes.mqtt_broker import PRINCIPALS, publish


def client(
    routing: Routing, name: str, pattern: str, qos: int = 0
) -> tuple[MqttSession, list[bytes]]:
    session = MqttSession(PRINCIPALS["admin"], name, routing.wake)
    written: list[bytes] = []
    session.attached(written.append)
    routing.subscribe(session, pattern, qos, checked=False)
    return session, written


async def test_a_message_for_many_is_encoded_once() -> None:
    routing = Routing()
    sessions = [client(routing, f"c{number}", "a")[0] for number in range(3)]
    routing.publish("a", b"x", 1, retain=False)
    first = sessions[0].out[0]
    assert first == publish("a", b"x")
    assert all(session.out[0] is first for session in sessions)


async def test_a_tick_is_one_write_for_each_client() -> None:
    routing = Routing()
    _, written = client(routing, "c", "a")
    for payload in (b"1", b"2", b"3"):
        routing.publish("a", payload, 0, retain=False)
    assert written == []
    routing.flush()
    assert written == [publish("a", b"1") + publish("a", b"2") + publish("a", b"3")]


async def test_a_tick_with_much_input_is_written_early() -> None:
    routing = Routing()
    _, written = client(routing, "c", "a")
    routing.publish("a", b"x", 0, retain=False)
    routing.received(UNFLUSHED_BYTES)
    assert written == []
    routing.received(1)
    assert len(written) == 1


async def test_a_full_retained_store_still_delivers() -> None:
    routing = Routing()
    routing.retained.max_count = 0
    session, _ = client(routing, "c", "a")
    routing.publish("a", b"x", 0, retain=True)
    assert session.out == [publish("a", b"x")]
    assert routing.retained_refused == 1


async def test_a_session_that_goes_takes_its_filters_along() -> None:
    routing = Routing()
    session, _ = client(routing, "c", "a/#")
    routing.forget(session)
    routing.publish("a/b", b"x", 0, retain=False)
    assert session.out == []
    assert routing.trie.match("a/b") == []
