"""A full disk is said, with what to do; nothing that was acknowledged is gone, and nothing is pretended."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from gateway.errors import StoreFullError
from gateway.model import DeviceUuid
from gateway.store.committer import Committer
from gateway.store.spool import SpoolLimits, SqliteSpool
from tests.contract.test_spool import message
from tests.fakes.clock import FakeClock

NODE = DeviceUuid("22222222-0000-4000-8000-000000000002")
QUICK = SpoolLimits(loss_window_s=0.001, ack_delay_s=0.001, offer_interval_s=0.001)


def small(connection: sqlite3.Connection) -> None:
    """Let the file grow by 64 pages and no more: SQLite then says what a full disk says."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages + 64}")


async def fill(spool: SqliteSpool, committer: Committer) -> None:
    for n in range(100_000):
        spool.append(message(f"{n * 7919:x}" * 20), waiting=True)
        if n % 20 == 0:
            await committer.transaction(lambda c: None)
            await asyncio.sleep(0.001)


async def test_a_full_disk_ends_the_service_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    committer = Committer(tmp_path / "log.db", "log", page_size=1024, auto_vacuum=True)
    await committer.open()
    spool = SqliteSpool(committer, clock=FakeClock(), node=NODE, limits=QUICK)
    await spool.open()
    await committer.transaction(small)
    settled = [0]
    spool.on_settled(settled.append)
    with pytest.raises(StoreFullError) as caught:
        await fill(spool, committer)
    assert caught.value.code == "GW-1503"
    with pytest.raises(StoreFullError):
        await committer.run()
    await committer.close()
    assert settled[-1] > 0

    again = Committer(tmp_path / "log.db", "log", page_size=1024, auto_vacuum=True)
    await again.open()
    after = SqliteSpool(again, clock=FakeClock(), node=NODE)
    await after.open()
    held = [n for b in await after.pending(most_bytes=1 << 30) for n in range(b.first, b.last + 1)]
    assert held == list(range(1, settled[-1] + 1))
    await after.close()
    await again.close()


async def test_whoever_waits_hears_of_the_full_disk(tmp_path: Path) -> None:
    committer = Committer(tmp_path / "log.db", "log", page_size=1024, auto_vacuum=True)
    await committer.open()
    await committer.transaction(small)

    def big(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO damaged VALUES (1, 'l', 1, 1, 'r', zeroblob(1000000))")

    waiting = [committer.transaction(big), committer.transaction(lambda c: None)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [StoreFullError, StoreFullError]
    with pytest.raises(StoreFullError):
        await committer.transaction(lambda c: None)
    await committer.close()
