"""Refusals: always counted, logged once a minute per identity and topic."""

from gateway.broker.refusals import REMEMBERED, Refusals


def test_one_line_a_minute_for_each_identity_and_topic() -> None:
    refusals = Refusals()
    assert refusals.note("a", "t", "why", 0.0)
    assert not refusals.note("a", "t", "why", 59.0)
    assert refusals.note("a", "other", "why", 59.0)
    assert refusals.note("b", "t", "why", 59.0)
    assert refusals.note("a", "t", "why", 60.0)
    assert refusals.total == 5


def test_the_line_says_how_often_it_was_not_said(caplog: object) -> None:
    refusals = Refusals()
    for _ in range(4):
        refusals.note("a", "t", "why", 0.0)
    refusals.note("a", "t", "why", 61.0)
    assert caplog.records[-1].repeated == 3  # type: ignore[attr-defined]


def test_memory_is_bounded() -> None:
    refusals = Refusals()
    for number in range(REMEMBERED + 50):
        refusals.note("a", f"t{number}", "why", 0.0)
    assert len(refusals._last) == REMEMBERED
