"""What any parent's ranges promise: each record has its effects once, whatever is offered again."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from gateway.errors import ForbiddenError
from gateway.model import Anchor, DeviceUuid, Lane, MessageKind, RangeSet, Refusal, Stamp
from gateway.model.block import Block, Record, line, seal, unpack
from gateway.model.log_ports import Intake, Ranges
from gateway.model.message import Message
from tests.contract.log_stores import IMPLEMENTATIONS, LogStore, Times

CHILD = DeviceUuid("55555555-0000-4000-8000-000000000005")
OTHER = DeviceUuid("66666666-0000-4000-8000-000000000006")
DEVICE = DeviceUuid("22222222-0000-4000-8000-000000000002")
LOG = "aa" * 16
STORE = "ee" * 16


def block(first: int, last: int, *, log: str = LOG) -> Block:
    lines = [
        line(
            Message(
                f"m{n}",
                MessageKind.READING,
                DEVICE,
                json.dumps({"payload": {"n": n}, "units": {}}).encode(),
                Stamp("boot-c", n * 1_000),
            ),
            n,
        )
        for n in range(first, last + 1)
    ]
    return seal(log, first, Lane.NORMAL, "boot-c", lines)


def accept(records: Sequence[Record]) -> Mapping[int, Refusal]:
    return {}


def refuse(*numbers: int):
    def judge(records: Sequence[Record]) -> Mapping[int, Refusal]:
        held = {record.number for record in records}
        return {n: Refusal.FORBIDDEN for n in numbers if n in held}

    return judge


async def take(
    ranges: Ranges, fence: int, offered: Block, judge=accept, node: DeviceUuid = CHILD
) -> Intake:
    return await ranges.take(node, fence, offered, unpack(offered), judge)


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda make: make.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogStore]:
    made: LogStore = request.param(tmp_path)
    await made.open(Times())
    yield made
    await made.close()


async def crashed(store: LogStore) -> Ranges:
    await store.crash()
    await store.open(Times())
    return store.ranges


async def test_fences_of_a_child_only_grow(store: LogStore) -> None:
    first = await store.ranges.fence(CHILD, STORE)
    assert await store.ranges.fence(CHILD, STORE) > first
    ranges = await crashed(store)
    assert await ranges.fence(CHILD, STORE) > first + 1


async def test_a_block_is_taken_once_in_order(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    intake = await take(store.ranges, fence, block(1, 3))
    assert [r.number for r in intake.new] == [1, 2, 3]
    assert intake.receipt.log == LOG
    assert intake.receipt.taken.covers(1, 3)
    assert dict(intake.receipt.refused) == {}


async def test_a_block_that_comes_again_has_no_effects_and_the_same_receipt(
    store: LogStore,
) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    first = await take(store.ranges, fence, block(1, 3), refuse(2))
    again = await take(store.ranges, fence, block(1, 3), refuse(1, 2, 3))
    assert [r.number for r in first.new] == [1, 3]
    assert list(again.new) == []
    assert again.receipt == first.receipt
    assert dict(again.receipt.refused) == {2: Refusal.FORBIDDEN}


async def test_what_was_taken_is_known_after_a_crash(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    await take(store.ranges, fence, block(1, 3), refuse(2))
    ranges = await crashed(store)
    known = await ranges.of(CHILD)
    assert known[LOG].ranges == RangeSet.of([(1, 3)])
    assert dict(known[LOG].unconfirmed) == {2: Refusal.FORBIDDEN}
    fence = await ranges.fence(CHILD, STORE)
    again = await take(ranges, fence, block(1, 3))
    assert list(again.new) == []
    assert dict(again.receipt.refused) == {2: Refusal.FORBIDDEN}


async def test_an_overlapping_block_gives_only_what_is_new(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    await take(store.ranges, fence, block(1, 3))
    intake = await take(store.ranges, fence, block(2, 5))
    assert [r.number for r in intake.new] == [4, 5]
    assert intake.receipt.taken.covers(2, 5)
    assert (await store.ranges.of(CHILD))[LOG].ranges == RangeSet.of([(1, 5)])


async def test_the_judge_sees_new_records_only(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    await take(store.ranges, fence, block(1, 3))
    seen: list[int] = []

    def judge(records: Sequence[Record]) -> Mapping[int, Refusal]:
        seen.extend(record.number for record in records)
        return {}

    await take(store.ranges, fence, block(3, 4), judge)
    assert seen == [4]


async def test_blocks_may_come_out_of_order(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    await take(store.ranges, fence, block(5, 6))
    await take(store.ranges, fence, block(1, 2))
    assert (await store.ranges.of(CHILD))[LOG].ranges == RangeSet.of([(1, 2), (5, 6)])


async def test_an_old_session_takes_nothing(store: LogStore) -> None:
    old = await store.ranges.fence(CHILD, STORE)
    new = await store.ranges.fence(CHILD, STORE)
    with pytest.raises(ForbiddenError) as caught:
        await take(store.ranges, old, block(1, 3))
    assert caught.value.code == "GW-1602"
    assert dict(await store.ranges.of(CHILD)) == {}
    assert len((await take(store.ranges, new, block(1, 3))).new) == 3


async def test_a_child_without_a_session_takes_nothing(store: LogStore) -> None:
    with pytest.raises(ForbiddenError):
        await take(store.ranges, 1, block(1, 1))


async def test_children_and_logs_are_apart(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    other = await store.ranges.fence(OTHER, STORE)
    await take(store.ranges, fence, block(1, 3))
    assert len((await take(store.ranges, other, block(1, 3), node=OTHER)).new) == 3
    assert len((await take(store.ranges, fence, block(1, 3, log="bb" * 16))).new) == 3


async def test_a_judge_that_fails_leaves_nothing_behind(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)

    def broken(records: Sequence[Record]) -> Mapping[int, Refusal]:
        raise LookupError("a bug in the judge")

    with pytest.raises(LookupError):
        await take(store.ranges, fence, block(1, 3), broken)
    assert dict(await store.ranges.of(CHILD)) == {}
    assert len((await take(store.ranges, fence, block(1, 3))).new) == 3


async def test_voids_count_as_lost_unless_taken(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    await take(store.ranges, fence, block(2, 3))
    receipt = await store.ranges.void(CHILD, fence, LOG, RangeSet.of([(1, 4)]), "corrupt")
    assert receipt.taken == RangeSet.of([(1, 4)])
    known = (await store.ranges.of(CHILD))[LOG]
    assert dict(known.lost) == {"corrupt": RangeSet.of([(1, 1), (4, 4)])}
    again = await store.ranges.void(CHILD, fence, LOG, RangeSet.of([(1, 4)]), "evicted")
    assert again.taken == receipt.taken
    assert dict((await store.ranges.of(CHILD))[LOG].lost) == dict(known.lost)


async def test_void_asks_for_the_newest_fence(store: LogStore) -> None:
    old = await store.ranges.fence(CHILD, STORE)
    await store.ranges.fence(CHILD, STORE)
    with pytest.raises(ForbiddenError):
        await store.ranges.void(CHILD, old, LOG, RangeSet.of([(1, 1)]), "corrupt")


async def test_confirmed_refusals_are_forgotten_and_stay_in_the_range(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    await take(store.ranges, fence, block(1, 3), refuse(1, 2))
    await store.ranges.confirm(CHILD, LOG, [1])
    ranges = await crashed(store)
    known = (await ranges.of(CHILD))[LOG]
    assert dict(known.unconfirmed) == {2: Refusal.FORBIDDEN}
    assert known.ranges == RangeSet.of([(1, 3)])


async def test_the_end_of_a_log_takes_nothing_away(store: LogStore) -> None:
    fence = await store.ranges.fence(CHILD, STORE)
    await take(store.ranges, fence, block(1, 3))
    await store.ranges.ended(CHILD, LOG, 3, {DEVICE: 3})
    assert (await store.ranges.of(CHILD))[LOG].ranges == RangeSet.of([(1, 3)])


async def test_anchors_of_children_are_apart(store: LogStore) -> None:
    mine, theirs = Anchor("boot-c", 10, 1_000, 5), Anchor("boot-d", 10, 2_000, 5)
    await store.ranges.anchor(CHILD, mine)
    await store.ranges.anchor(CHILD, mine)
    await store.ranges.anchor(OTHER, theirs)
    ranges = await crashed(store)
    assert list(await ranges.anchors(CHILD)) == [mine]
    assert list(await ranges.anchors(OTHER)) == [theirs]
