"""Requests that wait for the disk."""

import asyncio

from gateway.mesh import settling
from gateway.mesh.settling import Settling
from tests.fakes.waiting import eventually


async def test_what_owes_nothing_is_settled_at_once():
    assert await Settling().reached(0)


async def test_a_number_is_reached_when_it_or_a_later_one_settled():
    waiting = Settling()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(waiting.reached(3))
        second = group.create_task(waiting.reached(5))
        await asyncio.sleep(0)
        waiting.settled(2)
        await asyncio.sleep(0)
        assert not first.done()
        waiting.settled(4)
        await eventually(first.done)
        assert not second.done()
        waiting.settled(9)
    assert await waiting.reached(9)


async def test_a_request_that_went_away_does_not_hold_up_the_others():
    waiting = Settling()
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(waiting.reached(1))
        stays = group.create_task(waiting.reached(1))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        waiting.settled(1)
    assert stays.result()


async def test_beyond_the_bound_a_request_is_told_to_come_again(monkeypatch):
    monkeypatch.setattr(settling, "MOST_WAITING", 1)
    waiting = Settling()
    async with asyncio.TaskGroup() as group:
        group.create_task(waiting.reached(1))
        await asyncio.sleep(0)
        assert not await waiting.reached(2)
        waiting.settled(1)
