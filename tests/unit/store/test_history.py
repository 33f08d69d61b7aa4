"""What a device said is found again with its time, and does not grow without bound."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.model import Anchor, DeviceUuid, Lane, Message, MessageKind, Refusal, Stamp
from gateway.model.block import Block, line, seal, unpack
from gateway.model.ports import HistoryReader
from gateway.store import history
from gateway.store.committer import Committer
from gateway.store.history import SqliteHistory
from gateway.store.ranges import SqliteRanges
from tests.fakes.clock import FakeClock

CHILD = DeviceUuid("55555555-0000-4000-8000-000000000005")
A = DeviceUuid("aaaaaaaa-0000-4000-8000-000000000001")
B = DeviceUuid("bbbbbbbb-0000-4000-8000-000000000002")
LOG = "aa" * 16


@dataclass
class Parent:
    clock: FakeClock
    committer: Committer
    ranges: SqliteRanges
    history: HistoryReader
    fence: int

    async def take(self, block: Block, refused: dict[int, Refusal] | None = None) -> None:
        await self.ranges.take(
            CHILD, self.fence, block, unpack(block), lambda records: refused or {}
        )

    async def values(self, uuid: DeviceUuid, **window: int | None) -> list[int]:
        bounds = {"start_ms": None, "finish_ms": None, **window}
        found = await self.history.readings(
            uuid, start_ms=bounds["start_ms"], finish_ms=bounds["finish_ms"], limit=1000
        )
        return [document["payload"]["n"] for document in found]


@pytest.fixture
async def parent(tmp_path: Path) -> AsyncIterator[Parent]:
    clock = FakeClock()
    committer = Committer(tmp_path / "log.db", "log", page_size=1024, auto_vacuum=True)
    await committer.open()
    ranges = SqliteRanges(committer, clock)
    fence = await ranges.fence(CHILD, "ee" * 16)
    yield Parent(clock, committer, ranges, SqliteHistory(committer, clock), fence)
    await committer.close()


def block(first: int, senders: list[DeviceUuid], kind: MessageKind = MessageKind.READING) -> Block:
    lines = []
    for n, sender in enumerate(senders, first):
        body = {"payload": {"n": n}, "units": {"n": "1"}, "event": "click"}
        message = Message("", kind, sender, json.dumps(body).encode(), Stamp("boot-c", n * 1_000))
        lines.append(line(message, n))
    return seal(LOG, first, Lane.NORMAL, "boot-c", lines)


async def test_a_devices_readings_come_back_newest_last(parent: Parent) -> None:
    await parent.take(block(1, [A, B, A]))
    await parent.take(block(4, [B, A]))
    assert await parent.values(A) == [1, 3, 5]
    assert await parent.values(B) == [2, 4]


async def test_a_limit_keeps_the_newest(parent: Parent) -> None:
    await parent.take(block(1, [A] * 10))
    found = await parent.history.readings(A, start_ms=None, finish_ms=None, limit=2)
    assert [document["payload"]["n"] for document in found] == [9, 10]


async def test_a_reading_is_rendered_as_on_the_mesh(parent: Parent) -> None:
    wall_ms = parent.clock.wall_ms()
    await parent.ranges.anchor(CHILD, Anchor("boot-c", 0, wall_ms - 60_000, 10))
    await parent.take(block(1, [A]))
    [document] = await parent.history.readings(A, start_ms=None, finish_ms=None, limit=5)
    assert document["topic"] == "reading"
    assert document["payload"] == {"n": 1}
    assert document["metadata"]["id"] == f"{CHILD}:{LOG}:1"
    assert document["metadata"]["units"] == {"n": "1"}
    assert document["metadata"]["number"] == 1
    assert document["metadata"]["quality"] == "good"


async def test_a_window_is_judged_by_the_time_of_observation(parent: Parent) -> None:
    wall_ms = parent.clock.wall_ms() - 60_000
    await parent.ranges.anchor(CHILD, Anchor("boot-c", 0, wall_ms, 10))
    await parent.take(block(1, [A] * 5))
    window = {"start_ms": wall_ms + 2_000, "finish_ms": wall_ms + 4_000}
    assert await parent.values(A, **window) == [2, 3, 4]


async def test_a_boot_without_a_clock_is_dated_by_its_arrival_and_says_so(
    parent: Parent,
) -> None:
    await parent.take(block(1, [A]))
    [document] = await parent.history.readings(A, start_ms=None, finish_ms=None, limit=5)
    assert document["metadata"]["quality"] == "time-estimated"


async def test_a_block_that_comes_again_is_kept_once(parent: Parent) -> None:
    for _ in range(2):
        await parent.take(block(1, [A, A]))
    assert await parent.values(A) == [1, 2]


async def test_refused_records_are_no_history(parent: Parent) -> None:
    await parent.take(block(1, [A, A]), {2: Refusal.FORBIDDEN})
    assert await parent.values(A) == [1]


async def test_other_kinds_are_not_readings(parent: Parent) -> None:
    await parent.take(block(1, [A], MessageKind.EVENT))
    await parent.take(block(2, [A], MessageKind.RESULT))
    assert await parent.values(A) == []


async def test_a_devices_history_is_bounded(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_RECORDS", 10)
    for first in range(1, 60, 3):
        await parent.take(block(first, [A] * 3))
    kept = await parent.values(A)
    assert kept[-1] == 60
    assert 7 <= len(kept) <= 10


async def test_old_readings_are_not_shown(parent: Parent) -> None:
    await parent.take(block(1, [A]))
    parent.clock.advance(history.MOST_AGE_MS + 1)
    assert await parent.values(A) == []


async def test_a_device_nobody_heard_of_has_no_history(parent: Parent) -> None:
    assert await parent.values(B) == []
