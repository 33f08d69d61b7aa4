"""Retained messages: one a topic, bounded."""

from gateway.mqtt.retained import RetainedStore


def test_the_last_message_is_kept_and_an_empty_one_clears_it() -> None:
    store = RetainedStore()
    store.put("a/b", b"1", 0)
    store.put("a/b", b"22", 1)
    assert store.get("a/b") == (b"22", 1)
    assert store.topics("a/+") == ["a/b"]
    store.put("a/b", b"", 0)
    assert store.topics("#") == []
    assert store.bytes == 0


def test_a_full_store_refuses_new_topics_and_still_replaces_old_ones() -> None:
    store = RetainedStore(max_count=1)
    assert store.put("a", b"1", 0)
    assert not store.put("b", b"1", 0)
    assert store.put("a", b"2", 0)


def test_a_message_that_would_burst_the_bytes_is_refused() -> None:
    store = RetainedStore(max_bytes=10)
    assert store.put("a", b"123456", 0)
    assert not store.put("a", b"1234567890", 0)
    assert store.get("a") == (b"123456", 0)


def test_a_replay_shows_values_as_they_are_when_their_turn_comes() -> None:
    store = RetainedStore()
    store.put("a", b"old", 1)
    store.put("b", b"gone", 1)
    replay = store.replay(["a", "b"], 0)
    store.put("a", b"new", 1)
    store.put("b", b"", 0)
    assert list(replay) == [(b"a", b"new", 0)]
