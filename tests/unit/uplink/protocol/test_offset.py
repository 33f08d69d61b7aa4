"""The parent's clock by round trips, and which deadlines it is good for."""

from gateway.uplink.protocol.offset import ParentClock


def test_the_middle_of_a_round_trip_is_the_best_guess():
    clock = ParentClock()
    assert clock.measured(1000, 50_000, 1100)
    assert clock.offset is not None
    assert clock.offset.wall_at(1050) == 50_000
    assert clock.offset.error_ms == 50


def test_a_quicker_round_trip_replaces_a_slower_one_but_not_the_reverse():
    clock = ParentClock()
    clock.measured(0, 50_000, 400)
    assert not clock.measured(1000, 51_010, 1020)
    assert clock.offset.error_ms == 10
    clock.measured(2000, 52_300, 2600)
    assert clock.offset.error_ms == 10


def test_a_step_of_the_parents_clock_is_news():
    clock = ParentClock()
    clock.measured(0, 50_000, 10)
    assert clock.measured(1000, 90_000, 1010)
    assert clock.offset.wall_at(1005) == 90_000


def test_a_deadline_is_early_rather_than_late():
    clock = ParentClock()
    clock.measured(0, 50_000, 100)
    assert 10_000 - 110 <= clock.deadline(60_000, 50) - 50 <= 10_000 - 50


def test_a_deadline_is_unusable_when_the_error_is_a_tenth_of_what_remains():
    clock = ParentClock()
    clock.measured(0, 50_000, 100)
    assert clock.deadline(50_400, 50) is None
    assert clock.deadline(50_800, 50) is not None


def test_a_deadline_is_unusable_when_the_error_is_over_a_second_or_nothing_is_known():
    clock = ParentClock()
    assert clock.deadline(60_000, 50) is None
    clock.measured(0, 50_000, 2_100)
    assert clock.deadline(10_000_000, 2_100) is None
