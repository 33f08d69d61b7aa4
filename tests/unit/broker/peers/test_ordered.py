"""Acknowledgements leave in the order of the messages, once each."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.peers.ordered import Ordered


def test_nothing_is_acknowledged_before_what_came_earlier() -> None:
    seen: list[int] = []
    ordered = Ordered(seen.append)
    for number in (7, 8, 9):
        ordered.take(number)
    ordered.done(9)
    ordered.done(8)
    assert seen == []
    ordered.done(7)
    assert seen == [7, 8, 9]
    assert len(ordered) == 0


def test_a_repetition_of_an_unfinished_message_is_not_taken_again() -> None:
    ordered = Ordered(lambda _: None)
    assert ordered.take(1)
    assert not ordered.take(1)
    ordered.done(1)
    assert ordered.take(1)


@given(st.permutations(range(1, 20)))
def test_any_order_of_finishing_gives_the_order_of_taking(finished: list[int]) -> None:
    seen: list[int] = []
    ordered = Ordered(seen.append)
    for number in range(1, 20):
        ordered.take(number)
    for number in finished:
        ordered.done(number)
    assert seen == list(range(1, 20))
