"""A gateway knows its own messages when they return, and does not mistake others for them."""

import pytest

from gateway.broker.peers.loops import (
    HOP,
    MOST_HOPS,
    MOST_REMEMBERED,
    REMEMBERED_S,
    Loops,
    hop_name,
    hops_of,
    with_hop,
)
from gateway.mqtt.properties import USER_PROPERTY, Properties


class Bench:
    """Loops of one node with two bridges, `one` and `two`, that take everything below `a/`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.loops = Loops("node-a", lambda: self.now)
        for name in ("one", "two"):
            self.loops.join(name, lambda topic: topic.startswith("a/"))

    def note(self, bridge: str, topic: str = "a/b", payload: bytes = b"1", *, own: bool) -> None:
        self.loops.note(bridge, topic, payload, own_returns=own)

    def known(self, bridge: str, topic: str = "a/b", payload: bytes = b"1", *, own: bool) -> bool:
        return self.loops.is_known(bridge, topic, payload, own_returns=own)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_hop_is_added_behind_what_was_there() -> None:
    before: Properties = {USER_PROPERTY: [("x", "y")]}
    after = with_hop(with_hop(before, "h1"), "h2")
    assert after[USER_PROPERTY] == [("x", "y"), (HOP, "h1"), (HOP, "h2")]
    assert hops_of(after) == ["h1", "h2"]
    assert before == {USER_PROPERTY: [("x", "y")]}


def test_a_node_knows_its_own_message(bench: Bench) -> None:
    own, other = hop_name("node-a"), hop_name("node-b")
    assert bench.loops.came_back(with_hop(with_hop({}, own), other)) == "loop"
    assert bench.loops.came_back(with_hop({}, other)) is None


def test_hops_are_bounded(bench: Bench) -> None:
    said: Properties = {}
    for number in range(MOST_HOPS):
        assert bench.loops.came_back(said) is None
        said = with_hop(said, f"h{number}")
    assert bench.loops.came_back(said) == "hops"


def test_the_name_in_a_hop_is_not_the_uuid() -> None:
    assert "node" not in hop_name("node-a")
    assert hop_name("node-a") != hop_name("node-b")


def test_what_was_sent_twice_returns_twice_and_no_more(bench: Bench) -> None:
    bench.note("one", own=True)
    bench.note("one", own=True)
    assert [bench.known("one", own=True) for _ in range(3)] == [True, True, False]


def test_another_payload_or_topic_is_another_message(bench: Bench) -> None:
    bench.note("one", own=True)
    assert not bench.known("one", payload=b"2", own=True)
    assert not bench.known("one", topic="a/c", own=True)


def test_a_broker_that_returns_nothing_to_its_sender_is_believed(bench: Bench) -> None:
    bench.note("one", own=False)
    assert not bench.known("one", own=False)
    assert bench.known("two", own=False)


def test_what_no_bridge_would_take_in_is_not_remembered(bench: Bench) -> None:
    bench.note("one", topic="b/c", own=True)
    assert not bench.known("one", topic="b/c", own=True)


def test_what_returns_late_is_new(bench: Bench) -> None:
    bench.note("one", own=True)
    bench.now += REMEMBERED_S
    assert not bench.known("one", own=True)


def test_the_memory_is_bounded(bench: Bench) -> None:
    for number in range(MOST_REMEMBERED + 1):
        bench.note("one", payload=b"%d" % number, own=True)
    assert not bench.known("one", payload=b"0", own=True)
    assert bench.known("one", payload=b"1", own=True)
