"""What any inbox promises: a command is admitted once, and its end is durable with its answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.model import Command, CommandResult, DeviceUuid, Outcome, RangeSet
from tests.contract.log_stores import IMPLEMENTATIONS, LogStore, Times
from tests.contract.test_spool import message

DEVICE = DeviceUuid("22222222-0000-4000-8000-000000000002")
ACTOR = DeviceUuid("44444444-0000-4000-8000-000000000004")
DOWN = "d0" * 16


def command(name: str = "c1") -> Command:
    return Command(
        id=name,
        device=DEVICE,
        actor=ACTOR,
        action="set",
        params={"on": True, "level": 0.5, "name": "ö"},
        deadline_ms=9_000,
        via="parent",
        respond_to={"jobId": 7},
    )


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda make: make.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogStore]:
    made: LogStore = request.param(tmp_path)
    await made.open(Times())
    yield made
    await made.close()


async def crashed(store: LogStore) -> LogStore:
    await store.crash()
    await store.open(Times())
    return store


async def test_a_command_is_admitted_once(store: LogStore) -> None:
    assert await store.inbox.admit(command(), down_log=DOWN, number=1)
    assert not await store.inbox.admit(command(), down_log=DOWN, number=1)


async def test_an_admitted_command_is_known_after_a_crash(store: LogStore) -> None:
    await store.inbox.admit(command(), down_log=DOWN, number=1)
    await crashed(store)
    assert not await store.inbox.admit(command(), down_log=DOWN, number=1)


async def test_a_known_command_under_another_number_is_not_done_again(store: LogStore) -> None:
    await store.inbox.admit(command(), down_log=DOWN, number=1)
    assert not await store.inbox.admit(command(), down_log="d1" * 16, number=4)
    taken = await store.inbox.taken()
    assert taken["d1" * 16] == RangeSet.of([(4, 4)])  # it must not be sent for ever


async def test_taken_numbers_are_kept_per_down_log(store: LogStore) -> None:
    for number, down in ((1, DOWN), (2, DOWN), (4, DOWN), (1, "d1" * 16)):
        await store.inbox.admit(command(f"{down}-{number}"), down_log=down, number=number)
    await crashed(store)
    assert dict(await store.inbox.taken()) == {
        DOWN: RangeSet.of([(1, 2), (4, 4)]),
        "d1" * 16: RangeSet.of([(1, 1)]),
    }


async def test_commands_of_this_start_are_not_unfinished(store: LogStore) -> None:
    await store.inbox.admit(command(), down_log=DOWN, number=1)
    assert list(await store.inbox.unfinished()) == []


async def test_a_command_that_a_crash_cut_off_is_unfinished(store: LogStore) -> None:
    await store.inbox.admit(command(), down_log=DOWN, number=1)
    await crashed(store)
    assert list(await store.inbox.unfinished()) == [command()]


async def test_a_finished_command_and_its_answer_are_durable_together(store: LogStore) -> None:
    await store.inbox.admit(command("c1"), down_log=DOWN, number=1)
    await store.inbox.admit(command("c2"), down_log=DOWN, number=2)
    answer = store.spool.append(message("done"))
    store.inbox.finish(CommandResult("c1", Outcome.DONE))
    await store.commit()
    log = store.spool.log
    await crashed(store)
    assert [c.id for c in await store.inbox.unfinished()] == ["c2"]
    assert [(b.log, b.last) for b in await store.spool.pending()] == [(log, answer)]


async def test_an_end_that_was_not_committed_is_forgotten_with_its_answer(
    store: LogStore,
) -> None:
    await store.inbox.admit(command("c1"), down_log=DOWN, number=1)
    store.spool.append(message("done"))
    store.inbox.finish(CommandResult("c1", Outcome.DONE))
    await crashed(store)
    assert [c.id for c in await store.inbox.unfinished()] == ["c1"]
    assert list(await store.spool.pending()) == []


async def test_an_unfinished_command_that_was_answered_unknown_is_finished(
    store: LogStore,
) -> None:
    await store.inbox.admit(command("c1"), down_log=DOWN, number=1)
    await crashed(store)
    store.inbox.finish(CommandResult("c1", Outcome.UNKNOWN))
    await store.commit()
    await crashed(store)
    assert list(await store.inbox.unfinished()) == []
