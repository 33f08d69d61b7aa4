"""What any spool promises (sync rules, sections 1 to 4), on every implementation."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from gateway.errors import StoreFullError
from gateway.model import (
    Anchor,
    DeviceUuid,
    Lane,
    Message,
    MessageKind,
    RangeSet,
    Receipt,
    Refusal,
    Stamp,
)
from gateway.model.block import SEAL_BYTES, Block, unpack
from gateway.model.log_ports import Spool
from tests.contract.log_stores import IMPLEMENTATIONS, LogStore, Times
from tests.fakes.waiting import eventually

DEVICE = DeviceUuid("22222222-0000-4000-8000-000000000002")
OTHER = DeviceUuid("33333333-0000-4000-8000-000000000003")

_ids = count()


def message(
    text: str = "x",
    *,
    sender: DeviceUuid = DEVICE,
    lane: Lane = Lane.NORMAL,
    boot_id: str = "boot-1",
    uptime_ms: int = 1_000,
) -> Message:
    body = b'{"payload":{"text":"' + text.encode() + b'"}}'
    return Message(
        f"m{next(_ids)}", MessageKind.READING, sender, body, Stamp(boot_id, uptime_ms), lane
    )


def taken(log: str, *spans: tuple[int, int], refused: dict[int, Refusal] | None = None) -> Receipt:
    return Receipt(log, RangeSet.of(spans), refused or {})


async def keys(spool: Spool) -> list[tuple[str, int, int]]:
    return [(block.log, block.first, block.last) for block in await spool.pending()]


def texts(blocks: list[Block]) -> list[str]:
    return [record.body.decode().split('"')[5] for block in blocks for record in unpack(block)]


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda make: make.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogStore]:
    made: LogStore = request.param(tmp_path)
    await made.open(Times())
    yield made
    await made.close()


async def reopened(store: LogStore, times: Times | None = None) -> Spool:
    await store.close()
    await store.open(times or Times())
    return store.spool


async def crashed(store: LogStore, times: Times | None = None) -> Spool:
    await store.crash()
    await store.open(times or Times())
    return store.spool


# ---- names and numbers ----


async def test_a_new_log_begins_at_one_and_counts_by_one(store: LogStore) -> None:
    assert [store.spool.append(message()) for _ in range(3)] == [1, 2, 3]


async def test_every_start_draws_a_log_of_128_bits_and_keeps_the_store(store: LogStore) -> None:
    log, store_id = store.spool.log, store.spool.store_id
    spool = await reopened(store)
    assert spool.store_id == store_id
    assert spool.log != log
    assert len(bytes.fromhex(spool.log)) == len(bytes.fromhex(store_id)) == 16


async def test_a_log_is_known_after_a_crash_that_followed_its_opening(store: LogStore) -> None:
    log = store.spool.log
    spool = await crashed(store)
    await eventually(lambda: spool.log != log)
    assert log in [state.log for state in await spool.logs()]


async def test_device_numbers_count_per_device(store: LogStore) -> None:
    for sender in (DEVICE, OTHER, DEVICE):
        store.spool.append(message(sender=sender))
    store.spool.seal()
    [block] = await store.spool.pending()
    assert [(r.sender, r.device_number) for r in unpack(block)] == [
        (DEVICE, 1),
        (OTHER, 1),
        (DEVICE, 2),
    ]


async def test_an_origin_travels_with_its_record(store: LogStore) -> None:
    store.spool.append(message(), origin="node:log:7")
    store.spool.seal()
    [block] = await store.spool.pending()
    assert unpack(block)[0].origin == "node:log:7"


async def test_a_body_written_over_several_lines_stays_one_record(store: LogStore) -> None:
    body = b'{\n  "payload": {"text": "tall"}\n}'
    store.spool.append(
        Message("m", MessageKind.MESSAGE, DEVICE, body, Stamp("boot-1", 1), Lane.NORMAL)
    )
    store.spool.append(message("next"))
    store.spool.seal()
    [block] = await store.spool.pending()
    assert len(unpack(block)) == 2


# ---- sealing ----


async def test_the_open_block_is_not_offered(store: LogStore) -> None:
    store.spool.append(message())
    assert await keys(store.spool) == []
    store.spool.seal()
    assert await keys(store.spool) == [(store.spool.log, 1, 1)]


async def test_sealing_nothing_makes_no_block(store: LogStore) -> None:
    store.spool.seal()
    assert await keys(store.spool) == []


async def test_a_block_is_sealed_at_its_size(store: LogStore) -> None:
    called: list[int] = []
    store.spool.on_sealed(lambda: called.append(1))
    text = "y" * 1000
    for _ in range(SEAL_BYTES // 1000):
        store.spool.append(message(text))
    assert called == [1]
    [block] = await store.spool.pending()
    assert SEAL_BYTES <= block.raw_bytes < SEAL_BYTES + 2000


async def test_a_block_is_sealed_an_offer_interval_after_its_first_record(
    store: LogStore,
) -> None:
    spool = await reopened(store, Times(offer_interval_s=0.02))
    called: list[int] = []
    spool.on_sealed(lambda: called.append(1))
    spool.append(message())
    await eventually(lambda: called)
    assert await keys(spool) == [(spool.log, 1, 1)]


async def test_a_block_is_sealed_when_its_commit_is_due(store: LogStore) -> None:
    spool = await reopened(store, Times(loss_window_s=0.02))
    called: list[int] = []
    spool.on_sealed(lambda: called.append(1))
    spool.append(message())
    await eventually(lambda: called)


async def test_a_block_holds_one_lane_and_one_boot(store: LogStore) -> None:
    store.spool.append(message())
    store.spool.append(message(lane=Lane.ALARM))
    store.spool.append(message(lane=Lane.ALARM, boot_id="boot-2"))
    store.spool.seal()
    blocks = await store.spool.pending()
    assert sorted((b.first, b.last, b.lane, b.boot_id) for b in blocks) == [
        (1, 1, Lane.NORMAL, "boot-1"),
        (2, 2, Lane.ALARM, "boot-1"),
        (3, 3, Lane.ALARM, "boot-2"),
    ]


async def test_the_bytes_of_a_sealed_block_never_change(store: LogStore) -> None:
    store.spool.append(message("same"))
    store.spool.seal()
    before = await store.spool.pending()
    await store.commit()
    assert await store.spool.pending() == before
    spool = await reopened(store)
    assert await spool.pending() == before


# ---- settlement ----


async def test_what_is_taken_before_its_commit_is_never_written(store: LogStore) -> None:
    spool = await reopened(store, Times(loss_window_s=0.05))
    before = store.commits()
    spool.append(message())
    spool.seal()
    await spool.settle(taken(spool.log, (1, 1)))
    await asyncio.sleep(0.05)
    await asyncio.sleep(0.05)
    assert spool.usage().written_bytes == 0
    assert store.commits() == before


async def test_settled_numbers_are_told_once_a_commit(store: LogStore) -> None:
    told: list[int] = []
    store.spool.on_settled(told.append)
    for _ in range(5):
        store.spool.append(message())
    assert told == []
    await reach_disk(store)
    assert told == [5]


async def test_settled_numbers_are_told_at_once_when_the_parent_took_them(
    store: LogStore,
) -> None:
    told: list[int] = []
    store.spool.on_settled(told.append)
    for _ in range(3):
        store.spool.append(message())
        store.spool.seal()
    await store.spool.settle(taken(store.spool.log, (2, 2)))
    assert told == []
    await store.spool.settle(taken(store.spool.log, (1, 2)))
    assert told == [2]
    await store.spool.settle(taken(store.spool.log, (1, 3)))
    assert told == [2, 3]


async def test_a_waiting_sender_gets_its_commit_within_the_ack_delay(store: LogStore) -> None:
    spool = await reopened(store, Times(ack_delay_s=0.02))
    told: list[int] = []
    spool.on_settled(told.append)
    spool.append(message())
    spool.append(message(), waiting=True)
    await eventually(lambda: told == [2], seconds=2)


async def test_the_loss_window_commits_what_nobody_waits_for(store: LogStore) -> None:
    spool = await reopened(store, Times(loss_window_s=0.02))
    told: list[int] = []
    spool.on_settled(told.append)
    spool.append(message())
    await eventually(lambda: told == [1], seconds=2)


async def test_a_partly_taken_block_keeps_the_rest(store: LogStore) -> None:
    for text in "abcd":
        store.spool.append(message(text))
    store.spool.seal()
    await store.spool.settle(taken(store.spool.log, (1, 2)))
    assert await keys(store.spool) == [(store.spool.log, 1, 4)]
    assert store.spool.usage().records == 2
    await store.spool.settle(taken(store.spool.log, (3, 4)))
    assert await keys(store.spool) == []
    assert store.spool.usage().records == 0


async def test_receipts_of_a_written_block_add_up_over_a_restart(store: LogStore) -> None:
    log = store.spool.log
    for text in "abcd":
        store.spool.append(message(text))
    await reach_disk(store)
    await store.spool.settle(taken(log, (1, 2)))
    spool = await crashed(store)
    assert await keys(spool) == [(log, 1, 4)]
    await spool.settle(taken(log, (4, 4)))
    assert spool.usage().records == 1
    await spool.settle(taken(log, (3, 3)))
    assert await keys(spool) == []
    assert spool.usage().records == spool.usage().bytes == 0


async def test_a_receipt_that_comes_again_changes_nothing(store: LogStore) -> None:
    for _ in range(2):
        store.spool.append(message())
        store.spool.seal()
    await reach_disk(store)
    for _ in range(3):
        await store.spool.settle(taken(store.spool.log, (1, 1)))
    usage = store.spool.usage()
    assert (usage.records, usage.taken) == (1, 1)
    assert await keys(store.spool) == [(store.spool.log, 2, 2)]


async def test_a_receipt_for_a_log_nobody_knows_changes_nothing(store: LogStore) -> None:
    store.spool.append(message())
    store.spool.seal()
    await store.spool.settle(taken("ab" * 16, (1, 9)))
    assert await keys(store.spool) == [(store.spool.log, 1, 1)]


async def test_a_settled_block_is_gone_after_a_crash(store: LogStore) -> None:
    log = store.spool.log
    for text in "ab":
        store.spool.append(message(text))
        store.spool.seal()
    await reach_disk(store)
    await store.spool.settle(taken(log, (1, 1)))
    spool = await crashed(store)
    assert await keys(spool) == [(log, 2, 2)]


async def reach_disk(store: LogStore) -> None:
    """Let everything appended so far become durable, by the store's own rules."""
    last = (await store.spool.logs())[0].last
    reached: list[int] = []
    store.spool.on_settled(reached.append)
    await store.commit()
    assert reached[-1:] == [last], f"a commit settled {reached} of {last}"


# ---- refusals ----


async def test_a_refused_record_becomes_a_dead_letter(store: LogStore) -> None:
    log = store.spool.log
    for text in "abc":
        store.spool.append(message(text))
    store.spool.seal()
    await store.spool.settle(taken(log, (1, 3), refused={2: Refusal.FORBIDDEN}))
    [(letter_log, number, why, record)] = await store.spool.dead_letters()
    assert (letter_log, number, why) == (log, 2, Refusal.FORBIDDEN)
    assert b'"b"' in record.body
    assert record.device_number == 2
    assert await keys(store.spool) == []
    usage = store.spool.usage()
    assert (usage.records, usage.taken, usage.dead_letters) == (0, 2, 1)


async def test_dead_letters_are_durable_when_settle_returns(store: LogStore) -> None:
    log = store.spool.log
    store.spool.append(message())
    store.spool.seal()
    await store.spool.settle(taken(log, (1, 1), refused={1: Refusal.NOT_YOURS}))
    spool = await crashed(store)
    assert [(d[0], d[1], d[2]) for d in await spool.dead_letters()] == [(log, 1, Refusal.NOT_YOURS)]


async def test_a_refusal_of_a_written_block_makes_one_dead_letter_however_often_it_comes(
    store: LogStore,
) -> None:
    log = store.spool.log
    store.spool.append(message("a"))
    store.spool.append(message("b"))
    await reach_disk(store)
    for _ in range(3):
        await store.spool.settle(taken(log, (1, 2), refused={1: Refusal.MALFORMED}))
    assert [d[1] for d in await store.spool.dead_letters()] == [1]
    assert await keys(store.spool) == []


async def test_a_refusal_counts_as_settled_once_its_dead_letter_is_durable(
    store: LogStore,
) -> None:
    told: list[int] = []
    store.spool.on_settled(told.append)
    store.spool.append(message())
    store.spool.seal()
    await store.spool.settle(taken(store.spool.log, (1, 1), refused={1: Refusal.EXPIRED}))
    assert told[-1:] == [1]


async def test_dead_letters_come_newest_first_and_no_more_than_asked(store: LogStore) -> None:
    for _ in range(5):
        store.spool.append(message())
    store.spool.seal()
    refused = dict.fromkeys(range(1, 6), Refusal.FORBIDDEN)
    await store.spool.settle(taken(store.spool.log, (1, 5), refused=refused))
    assert [d[1] for d in await store.spool.dead_letters(2)] == [5, 4]


# ---- what is offered, and after a restart ----


async def test_live_blocks_are_offered_before_history_each_in_order(store: LogStore) -> None:
    logs = []
    for _ in range(2):
        for text in "ab":
            store.spool.append(message(text))
            store.spool.seal()
        logs.append(store.spool.log)
        await reopened(store)
    store.spool.append(message())
    store.spool.seal()
    assert await keys(store.spool) == [
        (store.spool.log, 1, 1),
        (logs[0], 1, 1),
        (logs[0], 2, 2),
        (logs[1], 1, 1),
        (logs[1], 2, 2),
    ]


async def test_offered_blocks_can_be_left_out(store: LogStore) -> None:
    old = store.spool.log
    for _ in range(3):
        store.spool.append(message())
        store.spool.seal()
    spool = await reopened(store)
    spool.append(message())
    spool.seal()
    left = await spool.pending(but={(spool.log, 1), (old, 2)})
    assert [block.key for block in left] == [(old, 1), (old, 3)]


async def test_live_blocks_can_be_read_past_a_backlog(store: LogStore) -> None:
    spool = await reopened(store)
    for _ in range(4):
        spool.append(message())
        spool.seal()
    await reach_disk(store)
    for _ in range(2):
        spool.append(message())
        spool.seal()
    assert [b.first for b in await spool.pending(after=3)] == [4, 5, 6]


async def test_a_bound_on_bytes_gives_at_least_one_block(store: LogStore) -> None:
    for _ in range(3):
        store.spool.append(message("z" * 300))
        store.spool.seal()
    assert len(await store.spool.pending(most_bytes=1)) == 1
    spool = await reopened(store)
    assert len(await spool.pending(most_bytes=1)) == 1


async def test_unwritten_records_end_with_a_crash_and_written_ones_return(
    store: LogStore,
) -> None:
    log = store.spool.log
    store.spool.append(message("kept"))
    await reach_disk(store)
    store.spool.append(message("lost"))
    spool = await crashed(store)
    blocks = list(await spool.pending())
    assert [block.log for block in blocks] == [log]
    assert texts(blocks) == ["kept"]


async def test_a_clean_stop_keeps_everything_and_marks_the_end(store: LogStore) -> None:
    log = store.spool.log
    store.spool.append(message("a"))
    store.spool.append(message("b", sender=OTHER))
    store.spool.append(message("c"))
    spool = await reopened(store)
    [state] = [state for state in await spool.logs() if state.log == log]
    assert (state.first_held, state.last, state.is_closed) == (1, 3, True)
    assert dict(state.device_numbers) == {DEVICE: 2, OTHER: 1}
    assert texts(list(await spool.pending())) == ["a", "b", "c"]


async def test_a_crashed_log_has_no_end(store: LogStore) -> None:
    log = store.spool.log
    store.spool.append(message())
    await reach_disk(store)
    spool = await crashed(store)
    [state] = [state for state in await spool.logs() if state.log == log]
    assert (state.first_held, state.last, state.is_closed) == (1, 1, False)


async def test_this_log_comes_first_among_the_logs(store: LogStore) -> None:
    old = store.spool.log
    store.spool.append(message())
    spool = await reopened(store)
    assert [state.log for state in await spool.logs()] == [spool.log, old]


async def test_first_held_moves_with_what_is_settled(store: LogStore) -> None:
    async def own() -> tuple[int, int]:
        state = (await store.spool.logs())[0]
        return state.first_held, state.last

    assert await own() == (1, 0)
    store.spool.append(message())
    assert await own() == (1, 1)
    store.spool.seal()
    store.spool.append(message())
    store.spool.seal()
    await store.spool.settle(taken(store.spool.log, (1, 1)))
    assert await own() == (2, 2)
    await reach_disk(store)
    assert await own() == (2, 2)
    await store.spool.settle(taken(store.spool.log, (1, 2)))
    assert await own() == (3, 2)


async def test_first_held_of_an_old_log_without_records_is_past_its_end(
    store: LogStore,
) -> None:
    old = store.spool.log
    for _ in range(2):
        store.spool.append(message())
    spool = await reopened(store)
    await spool.settle(taken(old, (1, 2)))
    [state] = [state for state in await spool.logs() if state.log == old]
    assert (state.first_held, state.last) == (3, 2)


async def test_an_ended_log_is_named_until_it_is_forgotten(store: LogStore) -> None:
    old = store.spool.log
    store.spool.append(message())
    spool = await reopened(store)
    await spool.settle(taken(old, (1, 1)))
    assert old in [state.log for state in await spool.logs()]
    await spool.forget_log(old)
    assert old not in [state.log for state in await spool.logs()]


async def test_a_log_that_still_holds_records_is_not_forgotten(store: LogStore) -> None:
    old = store.spool.log
    store.spool.append(message())
    spool = await reopened(store)
    await spool.forget_log(old)
    assert old in [state.log for state in await spool.logs()]
    assert await keys(spool) == [(old, 1, 1)]


# ---- how full, and the clock ----


async def test_a_full_spool_refuses_and_goes_on_when_there_is_room(store: LogStore) -> None:
    spool = await reopened(store, Times(most_bytes=200))
    with pytest.raises(StoreFullError):
        for n in range(50):
            spool.append(message(f"{n:040d}"))
    spool.seal()
    last = (await spool.logs())[0].last
    await spool.settle(taken(spool.log, (1, last)))
    assert spool.append(message()) == last + 1


async def test_usage_counts_what_is_not_settled_wherever_it_lies(store: LogStore) -> None:
    store.spool.append(message(uptime_ms=5_000))
    store.spool.append(message(uptime_ms=6_000))
    await reach_disk(store)
    store.spool.append(message(uptime_ms=7_000))
    usage = store.spool.usage()
    assert usage.records == 3
    assert usage.bytes > 0
    assert usage.oldest_uptime_ms == 5_000
    assert usage.written_bytes > 0


async def test_usage_is_the_same_after_a_restart(store: LogStore) -> None:
    for _ in range(4):
        store.spool.append(message())
        store.spool.seal()
    await reach_disk(store)
    await store.spool.settle(taken(store.spool.log, (2, 2)))
    before = store.spool.usage()
    spool = await crashed(store)
    assert (spool.usage().records, spool.usage().bytes) == (before.records, before.bytes)
    assert before.records == 3


async def test_the_oldest_record_of_this_boot_moves_on_when_it_is_settled(
    store: LogStore,
) -> None:
    for uptime_ms in (1_000, 2_000, 3_000):
        store.spool.append(message(uptime_ms=uptime_ms))
        store.spool.seal()
    await store.spool.settle(taken(store.spool.log, (1, 2)))
    assert store.spool.usage().oldest_uptime_ms == 3_000
    await store.spool.settle(taken(store.spool.log, (1, 3)))
    assert store.spool.usage().oldest_uptime_ms is None


async def test_anchors_are_found_by_their_boot_oldest_first(store: LogStore) -> None:
    first, second = Anchor("boot-1", 10, 1_000, 5), Anchor("boot-1", 20, 1_010, 5)
    foreign = Anchor("boot-9", 10, 9_000, 5)
    for anchor in (first, second, foreign):
        store.spool.anchor(anchor)
    assert list(await store.spool.anchors({"boot-1"})) == [first, second]
    spool = await reopened(store)
    assert list(await spool.anchors({"boot-1"})) == [first, second]
    assert list(await spool.anchors({"boot-9"})) == [foreign]
