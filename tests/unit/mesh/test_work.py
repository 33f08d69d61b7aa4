"""The mesh's service: order within a key, bounds, and who is told of room."""

import asyncio

from gateway.mesh.work import Work
from tests.fakes.waiting import eventually


async def test_jobs_of_one_key_run_in_order_and_keys_side_by_side() -> None:
    work = Work(lanes=8)
    done: list[str] = []
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        done.append("a1")

    async def quick(name: str) -> None:
        done.append(name)

    assert work.submit("a", slow)
    assert work.submit("a", lambda: quick("a2"))
    assert work.submit("b", lambda: quick("b1"))
    async with asyncio.TaskGroup() as group:
        service = group.create_task(work.run())
        await eventually(lambda: done == ["b1"])
        gate.set()
        await eventually(lambda: len(done) == 3)
        service.cancel()
    assert done == ["b1", "a1", "a2"]


async def test_a_full_lane_refuses_and_tells_when_it_has_room() -> None:
    work = Work(lanes=1, most_waiting=2)
    told: list[int] = []

    async def nothing() -> None:
        pass

    assert work.submit("a", nothing)
    assert work.submit("a", nothing)
    assert not work.submit("a", nothing)

    def tell() -> None:
        told.append(1)

    work.on_room(tell)
    work.on_room(tell)
    async with asyncio.TaskGroup() as group:
        service = group.create_task(work.run())
        await eventually(lambda: told)
        assert work.submit("a", nothing)
        service.cancel()
    assert told == [1]


async def test_a_job_that_fails_does_not_end_the_service() -> None:
    work = Work(lanes=1)
    done: list[str] = []

    async def bad() -> None:
        raise KeyError("gone")

    async def good() -> None:
        done.append("good")

    assert work.submit("a", bad)
    assert work.submit("a", good)
    async with asyncio.TaskGroup() as group:
        service = group.create_task(work.run())
        await eventually(lambda: done == ["good"])
        service.cancel()
    assert work.failed == 1
