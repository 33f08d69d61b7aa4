"""Retained messages: one a topic, bounded, gone when they have outlived themselves."""

from gateway.mqtt.message import RETAIN_FLAG
from gateway.mqtt.retained import RetainedStore
from tests.fakes.mqtt_sessions import message


def test_the_last_message_is_kept_and_an_empty_one_clears_it() -> None:
    store = RetainedStore()
    store.put(message("a/b", b"1", 0))
    last = message("a/b", b"22", 1, properties=b"\x01\x01")
    store.put(last)
    assert store.get("a/b") is last
    assert store.topics("a/+") == ["a/b"]
    assert store.bytes == len("a/b") + 2 + 2
    store.put(message("a/b", b"", 0))
    assert store.topics("#") == []
    assert store.bytes == 0


def test_a_full_store_refuses_new_topics_and_still_replaces_old_ones() -> None:
    store = RetainedStore(max_count=1)
    assert store.put(message("a"))
    assert not store.put(message("b"))
    assert store.put(message("a", b"2"))


def test_a_message_that_would_burst_the_bytes_is_refused() -> None:
    store = RetainedStore(max_bytes=10)
    first = message("a", b"123456")
    assert store.put(first)
    assert not store.put(message("a", b"1234567890"))
    assert store.get("a") is first


def test_a_replay_shows_values_as_they_are_when_their_turn_comes() -> None:
    store = RetainedStore()
    store.put(message("a", b"old"))
    store.put(message("b", b"gone"))
    replay = store.replay(["a", "b"], 0, b"\x0b\x05", lambda: 0.0)
    new = message("a", b"new")
    store.put(new)
    store.put(message("b", b""))
    assert list(replay) == [(new, RETAIN_FLAG, b"\x0b\x05")]


def test_what_has_expired_is_not_replayed_and_can_be_found() -> None:
    store = RetainedStore()
    store.put(message("a", expires_at=10.0))
    store.put(message("b", expires_at=30.0))
    assert [o[0].topic for o in store.replay(["a", "b"], 1, b"", lambda: 20.0)] == ["b"]
    assert store.expired(20.0) == ["a"]
