"""How late the loop is."""

import asyncio
import time

from gateway.runtime.lag import LagMeter
from tests.fakes.waiting import eventually


def block(seconds: float) -> None:
    """Hold the loop up, as a careless service does."""
    time.sleep(seconds)


async def test_a_blocked_loop_shows_and_a_free_one_does_not() -> None:
    ticks: list[int] = []
    meter = LagMeter(tick_s=0.005, each_tick=lambda: ticks.append(1))
    meter.start()
    await eventually(lambda: len(ticks) > 2)
    block(0.05)
    assert meter.lag_s > 0.03
    await eventually(lambda: meter.worst_s > 0.03)
    meter.stop()


async def test_a_stopped_meter_ticks_no_more() -> None:
    ticks: list[int] = []
    meter = LagMeter(tick_s=0.001, each_tick=lambda: ticks.append(1))
    meter.start()
    await eventually(lambda: ticks)
    meter.stop()
    count = len(ticks)
    await asyncio.sleep(0.01)
    assert len(ticks) == count


def test_a_meter_that_never_started_knows_no_lag() -> None:
    assert LagMeter().lag_s == 0
