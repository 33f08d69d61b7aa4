"""Access records in memory: batches, bounds, negative answers, and writes that overtake reads."""

import asyncio

import pytest

from gateway.errors import StoreBusyError
from gateway.mesh.access import ABSENT_MS, MOST_WAITERS, UNKNOWN, AccessCache
from gateway.mesh.work import Work
from tests.fakes.clock import FakeClock
from tests.fakes.mesh_node import MeshNode, device_uuid, working
from tests.fakes.waiting import eventually

A, B, C = (device_uuid(n) for n in range(1, 4))


async def test_what_was_fetched_is_known_and_not_asked_again() -> None:
    node = MeshNode()
    await node.add(1, sendWhitelist=["*"])
    records = await node.mesh.access.fetch([A, B])
    assert records[A] is not None
    assert records[B] is None
    assert node.mesh.access.known(A) is records[A]
    assert node.mesh.access.known(B) is None
    await node.mesh.access.fetch([A, B])
    assert node.devices.queries == [[A, B]]


async def test_all_misses_of_a_tick_are_one_query() -> None:
    async with working(MeshNode()) as node:
        await node.add(1)
        told: list[str] = []
        filled: list[str] = []
        node.mesh.access.on_filled(filled.extend)
        for uuid in (A, B, A, C):
            assert node.mesh.access.want([uuid], lambda uuid=uuid: told.append(uuid))
        await eventually(lambda: len(told) == 4)
        assert node.devices.queries == [[A, B, C]]
        assert sorted(told) == [A, A, B, C]
        assert filled == [A, B, C]


async def test_what_is_wanted_while_a_query_runs_is_asked_next() -> None:
    async with working(MeshNode()) as node:
        told: list[str] = []
        node.mesh.access.want([A], lambda: node.mesh.access.want([B], lambda: told.append(B)))
        await eventually(lambda: told)
        assert node.devices.queries == [[A], [B]]


async def test_absence_is_believed_for_a_while_only() -> None:
    node = MeshNode()
    await node.mesh.access.fetch([A])
    node.clock.advance(ABSENT_MS - 1)
    assert node.mesh.access.known(A) is None
    node.clock.advance(1)
    assert node.mesh.access.known(A) is UNKNOWN


async def test_an_invalidated_record_is_read_again() -> None:
    node = MeshNode()
    await node.add(1)
    await node.mesh.access.fetch([A])
    node.mesh.access.invalidate(A)
    assert node.mesh.access.known(A) is UNKNOWN


class Gated:
    """A registry whose answers were read before they are let go."""

    def __init__(self, node: MeshNode) -> None:
        self._devices = node.devices
        self.gate = asyncio.Event()
        self.asked = 0

    async def access_records(self, uuids: list[str]) -> object:
        found = await self._devices.access_records(uuids)
        self.asked += 1
        await self.gate.wait()
        return found


async def test_an_answer_that_a_write_overtook_is_not_kept() -> None:
    node = MeshNode()
    await node.add(1, sendWhitelist=["*"])
    gated = Gated(node)
    cache = AccessCache(gated, node.clock, Work())
    async with asyncio.TaskGroup() as group:
        group.create_task(cache.fetch([A, B]))
        await eventually(lambda: gated.asked)
        cache.invalidate(A)
        gated.gate.set()
    assert cache.known(A) is UNKNOWN
    assert cache.known(B) is None
    await cache.fetch([A])
    assert cache.known(A) is not UNKNOWN


async def test_the_least_recently_asked_records_go_first() -> None:
    node = MeshNode()
    cache = AccessCache(node.devices, node.clock, Work(), most_records=2)
    await cache.fetch([A, B])
    cache.known(A)
    await cache.fetch([C])
    assert cache.known(B) is UNKNOWN
    assert cache.known(A) is None
    assert cache.known(C) is None


async def test_memory_is_bounded_by_bytes() -> None:
    node = MeshNode()
    crowd = [device_uuid(n) for n in range(100, 1100)]
    for number in range(1, 4):
        await node.add(number, sendWhitelist=crowd)
    cache = AccessCache(node.devices, node.clock, Work(), most_bytes=250_000)
    for uuid in (A, B, C):
        await cache.fetch([uuid])
    assert cache.known(A) is UNKNOWN
    assert cache.known(C) is not UNKNOWN


async def test_too_many_waiters_are_told_no() -> None:
    cache = AccessCache(MeshNode().devices, FakeClock(), Work())
    assert cache.want([device_uuid(n) for n in range(MOST_WAITERS)])
    assert not cache.want([device_uuid(MOST_WAITERS)])


class Busy:
    async def access_records(self, uuids: list[str]) -> object:
        raise StoreBusyError("the store is busy", code="GW-1504", hint="wait")


async def test_a_busy_store_still_tells_who_waits() -> None:
    work = Work()
    cache = AccessCache(Busy(), FakeClock(), work)
    told: list[int] = []
    async with asyncio.TaskGroup() as group:
        service = group.create_task(work.run())
        cache.want([A], lambda: told.append(1))
        await eventually(lambda: told)
        service.cancel()
    assert cache.known(A) is UNKNOWN
    with pytest.raises(StoreBusyError):
        await cache.fetch([A])


class Broken:
    """A registry with a bug, once."""

    def __init__(self) -> None:
        self.asked = 0

    async def access_records(self, uuids: list[str]) -> dict[str, object]:
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError
        return {}


async def test_a_fill_that_crashed_tells_who_waits_and_does_not_stop_the_next() -> None:
    work, told = Work(), list[int]()
    cache = AccessCache(Broken(), FakeClock(), work)
    async with asyncio.TaskGroup() as group:
        service = group.create_task(work.run())
        cache.want([A], lambda: told.append(1))
        await eventually(lambda: told == [1])
        assert work.failed == 1
        cache.want([A], lambda: told.append(2))
        await eventually(lambda: told == [1, 2])
        assert work.failed == 1
        service.cancel()
