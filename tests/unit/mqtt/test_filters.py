"""Filters as sets: the algebra agrees with matching."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import filters

LEVEL = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVEL, min_size=1, max_size=4).map("/".join).filter(bool)


@st.composite
def patterns(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.sampled_from(["a", "b", "", "+", "$x"]), max_size=3))
    return "/".join([*levels, draw(st.sampled_from(["#", "+", "a"]))])


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("#", "a/b", True),
        ("a/#", "a", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("+/+", "/x", True),
        ("+", "/x", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
        ("a/+/c", "a/b/c", True),
        ("a/b", "a/b/c", False),
        ("A", "a", False),
    ],
)
def test_matching_follows_the_standard(pattern: str, topic: str, expected: bool) -> None:
    assert filters.matches(pattern, topic) is expected


@pytest.mark.parametrize("pattern", ["a/#/b", "a#", "#a", "a+/b", "+a", "", "a/##", "a/" * 70])
def test_a_misplaced_wildcard_or_an_endless_filter_is_invalid(pattern: str) -> None:
    assert not filters.is_valid_filter(pattern)


@given(patterns())
def test_well_formed_filters_are_valid(pattern: str) -> None:
    assert filters.is_valid_filter(pattern)


@given(patterns(), patterns(), TOPICS)
def test_what_the_narrow_one_matches_the_covering_one_matches(
    wide: str, narrow: str, topic: str
) -> None:
    if filters.covers(wide, narrow) and filters.matches(narrow, topic):
        assert filters.matches(wide, topic)


@given(patterns(), patterns(), TOPICS)
def test_filters_that_share_a_topic_overlap(one: str, other: str, topic: str) -> None:
    if filters.matches(one, topic) and filters.matches(other, topic):
        assert filters.overlaps(one, other)
        assert filters.overlaps(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("a/#", "b/#"), ("a/+", "a"), ("a/b", "+/c"), ("#", "$SYS/#")]
)
def test_disjoint_filters_do_not_overlap(one: str, other: str) -> None:
    assert not filters.overlaps(one, other)
