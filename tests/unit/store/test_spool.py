"""What only the SQLite spool does: damage on disk, what it writes, and when."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.model import RangeSet, Receipt, Refusal
from gateway.model.log_ports import Spool
from gateway.store.committer import Committer
from gateway.store.spool import SpoolLimits, SqliteSpool
from tests.contract.test_spool import DEVICE, message
from tests.fakes.clock import FakeClock
from tests.fakes.waiting import eventually

CALM = SpoolLimits(loss_window_s=600, ack_delay_s=600, offer_interval_s=600)


class Log:
    """A log.db and its spool."""

    def __init__(self, path: Path) -> None:
        self.committer = Committer(path, "log", page_size=1024, auto_vacuum=True)

    async def open(self, limits: SpoolLimits = CALM) -> SqliteSpool:
        await self.committer.open()
        self.spool = SqliteSpool(self.committer, clock=FakeClock(), node=DEVICE, limits=limits)
        await self.spool.open()
        return self.spool

    async def write(self, *texts: str) -> None:
        """Append a block a text and commit them."""
        for text in texts:
            self.spool.append(message(text))
            self.spool.seal()
        self.committer.everything_within(0)
        await self.committer.transaction(lambda c: None)

    async def close(self) -> None:
        await self.spool.close()
        await self.committer.close()


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    made = Log(tmp_path / "log.db")
    await made.open()
    yield made
    await made.close()


async def damage(log: Log, number: int) -> None:
    def flip(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE blocks SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE last = ?",
            (number,),
        )

    await log.committer.transaction(flip)


async def test_a_spool_is_a_spool(log: Log) -> None:
    spool: Spool = log.spool
    assert spool.usage().records == 0


async def test_a_damaged_block_is_set_aside_and_the_others_go_on(log: Log) -> None:
    await log.write("a", "b", "c")
    await damage(log, 2)
    assert [b.first for b in await log.spool.pending()] == [1, 3]
    await eventually(lambda: log.spool.usage().records == 2)
    assert log.spool.usage().corrupt == 1
    assert [b.first for b in await log.spool.pending()] == [1, 3]
    assert log.spool.usage().corrupt == 1


async def test_the_numbers_of_a_damaged_block_are_void_until_the_parent_has_them(
    log: Log,
) -> None:
    await log.write("a", "b")
    await damage(log, 1)
    await log.spool.pending()
    await eventually(lambda: log.spool.usage().records == 1)
    assert await log.spool.voids() == [(log.spool.log, RangeSet.of([(1, 1)]), "corrupt")]
    await log.spool.settle(Receipt(log.spool.log, RangeSet.of([(1, 2)])))
    assert await log.spool.voids() == []


async def test_a_refused_record_in_a_damaged_block_leaves_no_letter(log: Log) -> None:
    await log.write("a")
    await damage(log, 1)
    receipt = Receipt(log.spool.log, RangeSet.of([(1, 1)]), {1: Refusal.FORBIDDEN})
    await log.spool.settle(receipt)
    assert list(await log.spool.dead_letters()) == []
    assert log.spool.usage().records == 0


async def test_settled_is_told_when_it_is_on_disk_and_not_before(log: Log) -> None:
    on_disk: list[int] = []

    def count(through: int) -> None:
        with contextlib.closing(sqlite3.connect(log.committer.path)) as other:
            on_disk.append(other.execute("SELECT max(last) FROM blocks").fetchone()[0])

    log.spool.on_settled(count)
    await log.write("a", "b")
    assert on_disk == [2]


async def test_a_commit_for_others_leaves_young_blocks_alone(log: Log) -> None:
    log.spool.append(message())
    log.spool.seal()
    await log.committer.transaction(lambda c: None)
    assert log.spool.usage().written_bytes == 0


async def test_blocks_grow_while_nobody_takes_them(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.db")
    spool = await log.open(SpoolLimits(loss_window_s=600, ack_delay_s=600, offer_interval_s=0.01))
    await log.write("a")
    sealed: list[int] = []
    spool.on_sealed(lambda: sealed.append(1))
    spool.append(message())
    await asyncio.sleep(0.04)
    assert sealed == []
    await spool.settle(Receipt(spool.log, RangeSet.of([(1, 1)])))
    await eventually(lambda: sealed)
    await log.close()


async def test_a_receipt_that_changes_nothing_on_disk_makes_no_commit(log: Log) -> None:
    log.spool.append(message())
    log.spool.seal()
    before = log.committer.commits
    await log.spool.settle(Receipt(log.spool.log, RangeSet.of([(1, 1)])))
    assert log.committer.commits == before


async def test_a_cancelled_settle_has_its_effect_all_the_same(log: Log) -> None:
    await log.write("a", "b")
    receipt = Receipt(log.spool.log, RangeSet.of([(1, 1)]))
    waiting = asyncio.get_running_loop().create_task(log.spool.settle(receipt))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await eventually(lambda: log.spool.usage().records == 1)
    assert [b.first for b in await log.spool.pending()] == [2]


async def test_a_block_taken_while_it_is_written_is_gone_afterwards(log: Log) -> None:
    log.spool.append(message())
    log.committer.everything_within(0)
    commit = log.committer.transaction(lambda c: None)
    await asyncio.sleep(0)
    assert log.spool.usage().written_bytes > 0, "the group has not begun"
    await log.spool.settle(Receipt(log.spool.log, RangeSet.of([(1, 1)])))
    await commit
    assert list(await log.spool.pending()) == []
    usage = log.spool.usage()
    assert (usage.records, usage.bytes, usage.taken) == (0, 0, 1)


async def test_a_closed_spool_takes_nothing(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.db")
    spool = await log.open()
    await spool.close()
    with pytest.raises(StoreError) as caught:
        spool.append(message())
    assert caught.value.code == "GW-1507"
    await log.close()


async def test_starts_that_said_nothing_leave_no_rows(tmp_path: Path) -> None:
    for _ in range(5):
        log = Log(tmp_path / "log.db")
        await log.open()
        await log.close()
    log = Log(tmp_path / "log.db")
    spool = await log.open()
    assert [state.log for state in await spool.logs()] == [spool.log]
    await log.close()


async def test_a_backlog_is_read_in_portions(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.db")
    await log.open()
    await log.write(*(f"text {n}" for n in range(200)))
    old = log.spool.log
    await log.close()
    log = Log(tmp_path / "log.db")
    spool = await log.open()
    seen = 0
    while blocks := await spool.pending(most_bytes=4_000):
        seen += len(blocks)
        assert [b.first for b in blocks] == sorted(b.first for b in blocks)
        await spool.settle(Receipt(old, RangeSet.of([(1, blocks[-1].last)])))
    assert seen == 200
    assert spool.usage().bytes == 0
    await log.close()
