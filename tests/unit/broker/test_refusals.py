"""Refusals: always counted, logged once a minute per identity and topic."""

from gateway.broker.refusals import CONNECT, MOST_REASONS, OTHER, RECENT, REMEMBERED, Refusals


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


def test_the_latest_come_first_and_repeats_are_counted() -> None:
    refusals = Refusals()
    refusals.note("a", "t", "why", 1.0, client_id="c", peer="p:1")
    refusals.connect("bob", "d", "192.0.2.1:50000", "bad user name or password", 2.0)
    refusals.connect("bob", "d", "192.0.2.1:50001", "bad user name or password", 3.0)
    refusals.note("a", "t", "why", 4.0, client_id="c", peer="p:1")
    first, second = refusals.recent()
    assert (first.what, first.identity, first.client_id, first.count, first.last) == (
        "t", "a", "c", 2, 4.0
    )  # fmt: skip
    assert (second.what, second.identity, second.peer, second.count) == (
        CONNECT, "bob", "192.0.2.1:50001", 2
    )  # fmt: skip


def test_a_client_that_tries_from_elsewhere_is_a_row_of_its_own() -> None:
    refusals = Refusals()
    refusals.connect("bob", "d", "192.0.2.1:1", "why", 1.0)
    refusals.connect("bob", "d", "192.0.2.2:1", "why", 1.0)
    assert [row.count for row in refusals.recent()] == [1, 1]


def test_only_so_many_are_kept_and_texts_of_clients_are_cut() -> None:
    refusals = Refusals()
    for number in range(RECENT + 20):
        refusals.connect("x" * 5000, "y" * 5000, f"192.0.2.{number}:1", "why", float(number))
    rows = refusals.recent()
    assert len(rows) == RECENT
    assert rows[0].peer == f"192.0.2.{RECENT + 19}:1"
    assert max(len(rows[0].identity), len(rows[0].client_id)) < 200


def test_reasons_are_counted_apart_as_long_as_they_are_few() -> None:
    refusals = Refusals()
    for number in range(MOST_REASONS + 5):
        refusals.note("a", "t", f"why {number}", 0.0)
        refusals.connect("a", "c", "p", "connection limit", 0.0)
    assert refusals.by_reason["why 0"] == 1
    assert refusals.by_reason[OTHER] == 5
    assert sum(refusals.by_reason.values()) == refusals.total
    assert dict(refusals.connects_by_reason) == {"connection limit": MOST_REASONS + 5}
