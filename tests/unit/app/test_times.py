"""Wall time of stamps."""

from gateway.app.times import MOST_BOOTS, Times
from gateway.model import Anchor, Stamp
from tests.fakes.clock import FakeClock


def test_a_stamp_of_the_running_boot_needs_no_anchor():
    clock = FakeClock(uptime_ms=5_000, wall_ms=1_000_000)
    assert Times(clock).observed_ms(Stamp(clock.boot_id, 4_000)) == 999_000


def test_a_stamp_of_an_unknown_boot_has_no_time():
    assert Times(FakeClock()).observed_ms(Stamp("another", 4_000)) is None


def test_the_newest_anchor_of_a_boot_counts_whatever_came_last():
    times = Times(FakeClock())
    times.learn(Anchor("child", 2_000, 50_000, 1))
    times.learn(Anchor("child", 1_000, 10_000, 1))
    assert times.observed_ms(Stamp("child", 2_500)) == 50_500


def test_the_number_of_boots_remembered_is_bounded():
    times = Times(FakeClock())
    for number in range(MOST_BOOTS + 1):
        times.learn(Anchor(f"boot-{number}", 0, number, 1))
    assert times.observed_ms(Stamp("boot-0", 0)) is None
    assert times.observed_ms(Stamp(f"boot-{MOST_BOOTS}", 0)) == MOST_BOOTS
