"""Uptime, boots, and when a wall clock is believed."""

import time
from pathlib import Path

from gateway.model import Anchor
from gateway.runtime.clock import (
    EARLIEST_WALL_MS,
    AnchorWatch,
    Synchronization,
    SystemClock,
    boot_identity,
    synchronization,
)
from tests.fakes.clock import FakeClock

GOOD_WALL_MS = EARLIEST_WALL_MS + 86_400_000


def watch(clock: FakeClock) -> tuple[AnchorWatch, list[Anchor]]:
    seen: list[Anchor] = []
    return AnchorWatch(clock, seen.append, ask=lambda: Synchronization(True, 20)), seen


def test_uptime_goes_forward_with_the_wall_clock() -> None:
    clock = SystemClock()
    first, wall = clock.stamp(), clock.wall_ms()
    time.sleep(0.02)
    passed = clock.uptime_ms() - first.uptime_ms
    assert 15 <= passed < 2000
    assert abs((clock.wall_ms() - wall) - passed) < 100
    assert clock.stamp().boot_id == first.boot_id


def test_the_boot_is_the_kernels_where_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "boot_id"
    file.write_text("5c2fd0b7-93a5-4c0c-9d1c-2a4a1f2b3c4d\n")
    assert boot_identity(file) == "5c2fd0b793a54c0c9d1c2a4a1f2b3c4d"


def test_without_the_kernels_every_start_is_a_boot_of_its_own(tmp_path: Path) -> None:
    one, two = (boot_identity(tmp_path / "none") for _ in range(2))
    assert len(one) == 32
    assert one != two


def test_the_kernel_is_asked_how_good_its_clock_is() -> None:
    found = synchronization()
    assert found.error_ms >= 1


def test_the_first_look_makes_an_anchor_and_a_steady_clock_no_other() -> None:
    clock = FakeClock(wall_ms=GOOD_WALL_MS)
    eye, seen = watch(clock)
    eye.look()
    clock.advance(3_600_000)
    clock.step_wall(500)
    assert eye.look() is None
    assert seen == [Anchor("boot-1", 1_000, GOOD_WALL_MS, 20)]


def test_a_step_of_more_than_half_a_second_makes_a_new_anchor() -> None:
    clock = FakeClock(wall_ms=GOOD_WALL_MS)
    eye, seen = watch(clock)
    for step in (0, 501, -501):
        clock.step_wall(step)
        eye.look()
    assert [anchor.wall_ms - GOOD_WALL_MS for anchor in seen] == [0, 501, 0]
    assert eye.last == seen[-1]


def test_a_clock_that_was_never_set_makes_no_anchor_until_it_is() -> None:
    clock = FakeClock(wall_ms=1_000)
    eye, seen = watch(clock)
    assert eye.look() is None
    clock.step_wall(GOOD_WALL_MS)
    eye.look()
    assert len(seen) == 1
