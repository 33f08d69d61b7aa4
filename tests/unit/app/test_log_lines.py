"""Log lines for a reader."""

import asyncio
from collections.abc import Callable

from gateway.app.log_lines import MOST_WAITING, LogStream
from tests.fakes.waiting import eventually


class Lines:
    """A log that a test writes."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[str], None]] = []

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def say(self, line: str) -> None:
        for listener in list(self.listeners):
            listener(line)


async def test_a_reader_gets_lines_and_is_let_go():
    logs = Lines()
    stream = LogStream(logs, str.encode).lines()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(anext(stream))
        await eventually(lambda: logs.listeners)
        logs.say("one")
    assert first.result() == b"one"
    await stream.aclose()
    assert logs.listeners == []


async def test_a_reader_that_falls_behind_misses_the_oldest():
    logs = Lines()
    stream = LogStream(logs, str.encode).lines()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(anext(stream))
        await eventually(lambda: logs.listeners)
        for number in range(MOST_WAITING + 3):
            logs.say(f"{number}")
    assert first.result() == b"3"
    await stream.aclose()
