"""Groups commit or vanish whole; whoever waits hears the truth, whatever is cancelled meanwhile."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.errors import StoreError
from gateway.store.committer import Committer
from tests.fakes.waiting import eventually

Put = Callable[[sqlite3.Connection], int | None]


def put(value: int) -> Put:
    def work(connection: sqlite3.Connection) -> int | None:
        return connection.execute("INSERT INTO numbers VALUES (?)", (value,)).lastrowid

    return work


def numbers_in(path: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM numbers ORDER BY rowid")]


class Gate:
    """A work that holds the writer's thread until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._go = threading.Event()

    def __call__(self, connection: sqlite3.Connection) -> str:
        self.entered.set()
        assert self._go.wait(5), "the test never opened the gate"
        return "through"

    def open(self) -> None:
        self._go.set()


@pytest.fixture
async def committer(tmp_path: Path) -> AsyncIterator[Committer]:
    opened = Committer(tmp_path / "state.db", "state")
    await opened.open()
    await opened.transaction(lambda c: c.execute("CREATE TABLE numbers (value INTEGER UNIQUE)"))
    yield opened
    await opened.close()


async def test_a_result_comes_once_the_row_is_on_disk(committer: Committer) -> None:
    assert await committer.transaction(put(7)) == 1
    assert numbers_in(committer.path) == [7]


async def test_all_who_ask_in_one_tick_share_one_commit(committer: Committer) -> None:
    before = committer.commits
    await asyncio.gather(*(committer.transaction(put(n)) for n in range(50)))
    assert committer.commits == before + 1
    assert numbers_in(committer.path) == list(range(50))


async def test_who_asks_during_a_commit_rides_in_the_next_one_together(
    committer: Committer,
) -> None:
    gate = Gate()
    first = committer.transaction(gate)
    await eventually(gate.entered.is_set)
    before = committer.commits
    rest = [committer.transaction(put(n)) for n in range(3)]
    gate.open()
    await asyncio.gather(first, *rest)
    assert committer.commits == before + 2


async def test_a_function_that_raises_undoes_only_itself(committer: Committer) -> None:
    def half(connection: sqlite3.Connection) -> None:
        put(1)(connection)
        raise LookupError("no such thing")

    good, bad = await asyncio.gather(
        committer.transaction(put(2)), committer.transaction(half), return_exceptions=True
    )
    assert good == 1
    assert isinstance(bad, LookupError)
    assert numbers_in(committer.path) == [2]


async def test_a_broken_statement_is_its_authors_error_alone(committer: Committer) -> None:
    good, bad = await asyncio.gather(
        committer.transaction(put(2)),
        committer.transaction(lambda c: c.execute("SELECT nothing FROM nowhere")),
        return_exceptions=True,
    )
    assert good == 1
    assert isinstance(bad, sqlite3.OperationalError)
    await committer.transaction(put(3))  # the database goes on


async def test_a_cancelled_waiter_loses_the_answer_and_not_the_row(committer: Committer) -> None:
    gate = Gate()
    held = committer.transaction(gate)
    await eventually(gate.entered.is_set)
    waiter = committer.transaction(put(5))
    waiter.cancel()
    gate.open()
    assert await held == "through"
    await committer.transaction(put(6))
    assert numbers_in(committer.path) == [5, 6]


async def test_cancelling_the_service_in_mid_commit_tears_no_group(committer: Committer) -> None:
    service = asyncio.get_running_loop().create_task(committer.run())
    gate = Gate()
    held = committer.transaction(gate)
    await eventually(gate.entered.is_set)
    service.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service
    gate.open()
    assert await held == "through"


async def test_within_is_kept_although_a_later_request_follows(committer: Committer) -> None:
    asked = time.monotonic()
    ready: list[float] = []
    committer.on_commit(lambda: None if ready else put(9), lambda: ready.append(time.monotonic()))
    committer.within(0.04)
    committer.within(60)
    await eventually(lambda: ready)
    assert 0.03 < ready[0] - asked < 2


async def test_an_earlier_request_moves_the_commit_forward(committer: Committer) -> None:
    done: list[int] = []
    committer.on_commit(lambda: None if done else put(9), lambda: done.append(1))
    committer.within(60)
    committer.within(0.01)
    await eventually(lambda: done, seconds=2)


async def test_a_lazy_transaction_rides_with_the_next_group(committer: Committer) -> None:
    before = committer.commits
    lazy = committer.transaction(put(1), within_s=60)
    await asyncio.sleep(0.02)
    assert not lazy.done()
    await asyncio.gather(lazy, committer.transaction(put(2)))
    assert committer.commits == before + 1


async def test_a_transaction_is_not_held_back_by_a_request_for_later(committer: Committer) -> None:
    gate = Gate()
    held = committer.transaction(gate)
    await eventually(gate.entered.is_set)
    committer.within(60)
    eager = committer.transaction(put(3))
    gate.open()
    await asyncio.wait_for(asyncio.gather(held, eager), 2)


async def test_prepared_writes_and_transactions_are_one_commit(committer: Committer) -> None:
    queued = [41]
    committer.on_commit(lambda: put(queued.pop()) if queued else None, lambda: None)

    def fails_the_group(connection: sqlite3.Connection) -> list[int]:
        return [row[0] for row in connection.execute("SELECT value FROM numbers")]

    before = committer.commits
    assert await committer.transaction(fails_the_group) == [41]
    assert committer.commits == before + 1


async def test_after_runs_before_the_waiters_go_on(committer: Committer) -> None:
    seen: list[str] = []
    committer.on_commit(lambda: None, lambda: seen.append("after"))
    await committer.transaction(put(1))
    seen.append("waiter")
    assert seen == ["after", "waiter"]


async def test_nothing_to_write_is_no_commit(committer: Committer) -> None:
    asked: list[int] = []

    def prepare() -> None:
        asked.append(1)

    committer.on_commit(prepare, lambda: None)
    before = committer.commits
    committer.within(0)
    await eventually(lambda: asked)
    await asyncio.sleep(0.01)
    assert committer.commits == before
    assert committer.overdue_since is None


async def test_overdue_since_tells_how_long_a_commit_has_been_owed(committer: Committer) -> None:
    assert committer.overdue_since is None
    gate = Gate()
    asked = time.monotonic()
    held = committer.transaction(gate)
    await eventually(gate.entered.is_set)
    assert committer.overdue_since == pytest.approx(asked, abs=0.5)
    gate.open()
    await held
    assert committer.overdue_since is None


async def test_close_answers_everybody_and_commits_what_is_left(tmp_path: Path) -> None:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    await committer.transaction(lambda c: c.execute("CREATE TABLE numbers (value INTEGER)"))
    queued = [8]
    committer.on_commit(lambda: put(queued.pop()) if queued else None, lambda: None)
    lazy = committer.transaction(put(7), within_s=60)
    await committer.close()
    assert await lazy is not None
    assert sorted(numbers_in(committer.path)) == [7, 8]


async def test_a_cancelled_close_closes_all_the_same(tmp_path: Path) -> None:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    gate = Gate()
    held = committer.transaction(gate)
    await eventually(gate.entered.is_set)
    closing = asyncio.get_running_loop().create_task(committer.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    gate.open()
    assert await held == "through"
    await eventually(lambda: not committer.path.with_name("state.db-wal").exists())


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    await committer.close()
    with pytest.raises(StoreError) as caught:
        await committer.transaction(put(1))
    assert caught.value.code == "GW-1507"


async def test_a_prepare_that_raises_is_everybodys_error(tmp_path: Path) -> None:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    def broken() -> None:
        raise RuntimeError("a bug")

    committer.on_commit(broken, lambda: None)
    with pytest.raises(RuntimeError):
        await committer.transaction(put(1))
    with pytest.raises(StoreError, match="a bug"):
        await (
            committer.run()
        )  # as the store's: the supervisor then ends the node without a second try
    await committer.close()
