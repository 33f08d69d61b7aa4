"""The trie and the cache: right for any filters, and no more forgotten than needed."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.filters import matches
from gateway.mqtt.topics import (
    CACHED_TOPICS,
    Entry,
    LocalSubscriber,
    SubscriptionTrie,
    TopicCache,
    TopicTree,
)
from tests.unit.mqtt.test_filters import TOPICS, patterns


def nobody(topic: str, payload: bytes, retained: bool) -> None:
    """Want nothing."""


@given(st.lists(patterns(), max_size=8), TOPICS)
def test_the_trie_finds_exactly_the_filters_that_match(wanted: list[str], topic: str) -> None:
    trie = SubscriptionTrie()
    subscribers = {pattern: LocalSubscriber(nobody) for pattern in wanted}
    for pattern, subscriber in subscribers.items():
        trie.add(pattern, subscriber, 1)
    found = {subscriber for marks in trie.match(topic) for subscriber in marks}
    assert found == {who for pattern, who in subscribers.items() if matches(pattern, topic)}


@given(st.lists(patterns(), max_size=8, unique=True), TOPICS)
def test_what_is_removed_leaves_nothing_behind(wanted: list[str], topic: str) -> None:
    trie = SubscriptionTrie()
    subscriber = LocalSubscriber(nobody)
    for pattern in wanted:
        trie.add(pattern, subscriber, 0)
    assert all(trie.remove(pattern, subscriber) for pattern in wanted)
    assert trie.match(topic) == []
    assert not trie._root.kids


def test_removing_an_unknown_subscription_says_so() -> None:
    trie = SubscriptionTrie()
    trie.add("a/b", LocalSubscriber(nobody), 0)
    assert not trie.remove("a/b", LocalSubscriber(nobody))
    assert not trie.remove("a/c", LocalSubscriber(nobody))


@given(st.sets(TOPICS, max_size=12), patterns())
def test_the_tree_finds_exactly_the_topics_that_match(topics: set[str], pattern: str) -> None:
    tree: TopicTree[str] = TopicTree()
    for topic in topics:
        tree.put(topic, topic)
    assert set(tree.matching(pattern)) == {t for t in topics if matches(pattern, t)}
    for topic in topics:
        assert tree.pop(topic) == topic
    assert not tree._root.kids


def test_a_filter_makes_only_its_own_entries_stale() -> None:
    cache = TopicCache(lambda topic: Entry(topic, []))
    near, far = cache.get("home/kitchen"), cache.get("garden/pump")
    cache.invalidate("home/#")
    assert near.receivers is None
    assert far.receivers == []
    assert cache.get("garden/pump") is far
    assert cache.get("home/kitchen") is not near


def test_a_full_cache_starts_anew_and_leaves_no_entry_that_looks_fresh() -> None:
    cache = TopicCache(lambda topic: Entry(topic, []))
    first = cache.get("t/0")
    for number in range(1, CACHED_TOPICS + 1):
        cache.get(f"t/{number}")
    assert first.receivers is None
    assert len(cache) == 1
