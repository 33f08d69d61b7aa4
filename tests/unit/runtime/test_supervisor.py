"""Restart, park, retry, end: what becomes of a service that fails."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

import pytest

from gateway.errors import BadTokenError, ConfigError, LinkLostError, StoreError
from gateway.runtime.supervisor import (
    ParkedService,
    Patience,
    Supervisor,
    cause,
    contains,
    run_services,
)
from tests.fakes.waiting import eventually

QUICK = Patience(
    first_delay_s=0.001,
    most_delay_s=0.002,
    most_restarts=3,
    healthy_s=5.0,
    parked_s=60.0,
    stop_s=0.05,
)
CONFIG = ConfigError("the port is wrong", code="GW-1005", hint="mend it")
LOST = LinkLostError("gone", code="GW-1201", hint="wait")


class Part:
    """A service made of a function."""

    def __init__(
        self, work: Callable[[], Awaitable[None]], name: str = "part", *, required: bool = False
    ) -> None:
        self.name = name
        self.required = required
        self.runs = 0
        self._work = work

    async def run(self) -> None:
        self.runs += 1
        await self._work()


async def forever() -> None:
    await asyncio.Event().wait()


def failing(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        raise error

    return work


class Running:
    """A supervisor in a task, ended at the end of the block."""

    def __init__(self, *parts: Part, patience: Patience = QUICK) -> None:
        self.parked: list[ParkedService] = []
        self.resumed: list[str] = []
        self.stop = asyncio.Event()
        self.supervisor = Supervisor(
            parts, on_park=self.parked.append, on_resume=self.resumed.append, patience=patience
        )

    async def __aenter__(self) -> Self:
        self.task = asyncio.get_running_loop().create_task(self.supervisor.run(self.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        with suppress(Exception):
            await asyncio.wait_for(self.task, 5)
        assert self.task.done()


async def test_a_failing_service_is_restarted_and_then_parked() -> None:
    part = Part(failing(LOST))
    async with Running(part) as running:
        await eventually(lambda: running.parked)
    assert running.parked == [ParkedService("part", "GW-1201", "gone", "wait")]
    assert part.runs == 1 + QUICK.most_restarts


async def test_the_others_run_on_when_one_is_parked() -> None:
    steady = Part(forever, "steady", required=True)
    async with Running(Part(failing(LOST)), steady) as running:
        await eventually(lambda: running.parked)
        assert not running.task.done()
    assert steady.runs == 1


@pytest.mark.parametrize("error", [CONFIG, BadTokenError("revoked", code="GW-1304", hint="join")])
async def test_what_only_a_person_can_mend_parks_at_once(error: Exception) -> None:
    part = Part(failing(ExceptionGroup("a", [LOST, ExceptionGroup("b", [error])])))
    async with Running(part) as running:
        await eventually(lambda: running.parked)
    assert part.runs == 1
    assert running.parked[0].text == str(error.args[0])


async def test_a_required_service_that_is_lost_ends_everything_with_its_own_error() -> None:
    for error in (CONFIG, LOST, ValueError("bug")):
        other = Part(forever)
        with pytest.raises(type(error)) as caught:
            await run_services(
                [Part(failing(error), "vital", required=True), other],
                asyncio.Event(),
                on_park=lambda _: None,
                patience=QUICK,
            )
        assert caught.value is error


async def test_a_service_that_returns_has_failed() -> None:
    async def nothing() -> None:
        return

    part = Part(nothing)
    async with Running(part) as running:
        await eventually(lambda: running.parked)
    assert running.parked[0].code == "GW-1401"


async def test_a_service_that_lets_a_strange_cancel_out_is_restarted_not_lost() -> None:
    part = Part(failing(asyncio.CancelledError()))
    async with Running(part):
        await eventually(lambda: part.runs > 1)


async def test_a_bug_is_parked_with_its_type_and_text() -> None:
    async with Running(Part(failing(ValueError("no such row")))) as running:
        await eventually(lambda: running.parked)
    assert running.parked[0].code == "GW-1402"
    assert "ValueError: no such row" in running.parked[0].text


async def test_a_parked_service_is_tried_again_and_reported_well() -> None:
    errors: list[Exception] = [CONFIG]

    async def work() -> None:
        if errors:
            raise errors.pop()
        await forever()

    patience = Patience(parked_s=0.01, healthy_s=0.01)
    async with Running(Part(work), patience=patience) as running:
        await eventually(lambda: running.resumed)
        assert running.supervisor.parked == ()
    assert [row.what for row in running.parked] == running.resumed == ["part"]


async def test_retry_tries_a_parked_service_without_waiting() -> None:
    part = Part(failing(CONFIG))
    async with Running(part) as running:
        await eventually(lambda: running.parked)
        running.supervisor.retry("part")
        await eventually(lambda: part.runs == 2)


async def test_services_stop_in_reverse_order_one_after_the_other() -> None:
    ended: list[str] = []

    def work(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(0.005)
                ended.append(name)

        return run

    parts = [Part(work(name), name) for name in ("store", "broker", "links")]
    async with Running(*parts):
        await eventually(lambda: all(part.runs for part in parts))
    assert ended == ["links", "broker", "store"]


async def test_a_service_whose_group_swallows_the_cancel_is_not_started_again() -> None:
    async def child() -> None:
        try:
            await forever()
        finally:
            raise ValueError("while closing")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    part = Part(work)
    async with Running(part) as running:
        await eventually(lambda: part.runs)
        await asyncio.sleep(0.01)
    assert part.runs == 1
    assert running.task.exception() is None


async def test_a_service_that_is_slow_to_stop_does_not_hold_the_others_up() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await forever()
        finally:
            await eventually(lambda: "quick" in ended)
            ended.append("slow")

    async def quick() -> None:
        try:
            await forever()
        finally:
            ended.append("quick")

    parts = [Part(quick, "quick"), Part(slow, "slow")]
    async with Running(*parts):
        await eventually(lambda: all(part.runs for part in parts))
    assert ended == ["quick", "slow"]


async def test_cancelling_the_supervisor_cancels_it() -> None:
    task = asyncio.get_running_loop().create_task(
        run_services([Part(forever)], asyncio.Event(), on_park=lambda _: None)
    )
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_failures_long_ago_are_forgotten() -> None:
    async def work() -> None:
        await asyncio.sleep(0.02)
        raise LOST

    patience = Patience(first_delay_s=0.001, most_delay_s=0.001, most_restarts=2, healthy_s=0.005)
    part = Part(work)
    async with Running(part, patience=patience) as running:
        await eventually(lambda: part.runs > 5)
    assert running.parked == []


def test_the_deciding_error_is_found_in_nested_groups() -> None:
    bug = KeyError("x")
    assert cause(ExceptionGroup("", [LOST, ExceptionGroup("", [bug])])) is bug
    assert cause(ExceptionGroup("", [bug, ExceptionGroup("", [CONFIG])])) is CONFIG
    assert cause(LOST) is LOST
    assert contains(ExceptionGroup("", [LOST]), LinkLostError)
    assert not contains(ExceptionGroup("", [LOST]), ConfigError)


async def test_a_required_service_whose_store_is_lost_ends_everything_at_once() -> None:
    error = StoreError("the disk failed", code="GW-1505", hint="look at dmesg")
    store, other = Part(failing(error), required=True), Part(forever, "other")
    with pytest.raises(StoreError, match="the disk failed"):
        await run_services([other, store], asyncio.Event(), on_park=lambda _: None, patience=QUICK)
    assert store.runs == 1


async def test_a_service_whose_inner_group_fails_is_restarted_and_then_parked() -> None:
    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(forever())
            group.create_task(failing(LOST)())

    service, stop, parked = Part(work), asyncio.Event(), [ParkedService("", "", "", "")]
    async with asyncio.TaskGroup() as group:
        group.create_task(run_services([service], stop, on_park=parked.append, patience=QUICK))
        await eventually(lambda: len(parked) == 2)
        stop.set()
    assert parked[1].code == LOST.code
    assert service.runs == QUICK.most_restarts + 1
