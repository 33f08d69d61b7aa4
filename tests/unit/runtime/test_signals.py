"""The first signal asks, the second ends."""

import asyncio
import os
import signal

import pytest

from gateway.runtime.signals import stop_on_signals
from tests.fakes.waiting import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_asks_and_the_second_ends_at_once(number: signal.Signals) -> None:
    stop, codes = asyncio.Event(), list[int]()
    with stop_on_signals(stop, exit_hard=codes.append):
        os.kill(os.getpid(), number)
        await eventually(stop.is_set)
        assert codes == []
        os.kill(os.getpid(), number)
        await eventually(lambda: codes)
    assert codes == [128 + number]
