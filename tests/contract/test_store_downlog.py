"""What any down log promises: commands wait for their child, in order, until taken or expired."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.model import DeviceUuid, RangeSet
from tests.contract.log_stores import IMPLEMENTATIONS, LogStore, Times
from tests.contract.test_store_inbox import command
from tests.contract.test_store_ranges import CHILD, OTHER, STORE

HOUR_MS = 3_600_000


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda make: make.__name__)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LogStore]:
    made: LogStore = request.param(tmp_path)
    await made.open(Times())
    await made.ranges.fence(CHILD, STORE)
    yield made
    await made.close()


def in_an_hour(store: LogStore) -> int:
    return store.clock.wall_ms() + HOUR_MS


async def ids(store: LogStore, node: DeviceUuid = CHILD) -> list[str]:
    return [waiting.command.id for waiting in await store.downlog.pending(node)]


async def test_commands_are_numbered_from_one_in_one_log(store: LogStore) -> None:
    first = await store.downlog.append(CHILD, command("a"), in_an_hour(store))
    second = await store.downlog.append(CHILD, command("b"), in_an_hour(store))
    assert (first.number, second.number) == (1, 2)
    assert first.down_log == second.down_log
    assert list(await store.downlog.pending(CHILD)) == [first, second]


async def test_children_have_logs_of_their_own(store: LogStore) -> None:
    await store.ranges.fence(OTHER, STORE)
    mine = await store.downlog.append(CHILD, command("a"), in_an_hour(store))
    theirs = await store.downlog.append(OTHER, command("b"), in_an_hour(store))
    assert mine.down_log != theirs.down_log
    assert await ids(store) == ["a"]
    assert await ids(store, OTHER) == ["b"]


async def test_commands_wait_over_a_crash_and_numbers_go_on(store: LogStore) -> None:
    first = await store.downlog.append(CHILD, command("a"), in_an_hour(store))
    await store.crash()
    await store.open(Times())
    assert list(await store.downlog.pending(CHILD)) == [first]
    second = await store.downlog.append(CHILD, command("b"), in_an_hour(store))
    assert (second.down_log, second.number) == (first.down_log, 2)


async def test_what_the_child_took_is_dropped_and_its_number_not_used_again(
    store: LogStore,
) -> None:
    first = await store.downlog.append(CHILD, command("a"), in_an_hour(store))
    await store.downlog.settle(CHILD, first.down_log, RangeSet.of([(1, 1)]))
    assert await ids(store) == []
    await store.crash()
    await store.open(Times())
    second = await store.downlog.append(CHILD, command("b"), in_an_hour(store))
    assert second.number == 2


async def test_only_its_own_child_settles_a_command(store: LogStore) -> None:
    first = await store.downlog.append(CHILD, command("a"), in_an_hour(store))
    await store.downlog.settle(OTHER, first.down_log, RangeSet.of([(1, 1)]))
    assert await ids(store) == ["a"]


async def test_expired_commands_are_not_pending(store: LogStore) -> None:
    await store.downlog.append(CHILD, command("a"), store.clock.wall_ms() + 1_000)
    await store.downlog.append(CHILD, command("b"), in_an_hour(store))
    store.clock.advance(2_000)
    assert await ids(store) == ["b"]


async def test_a_command_for_another_store_of_the_child_is_not_sent(store: LogStore) -> None:
    first = await store.downlog.append(CHILD, command("a"), in_an_hour(store))
    await store.ranges.fence(CHILD, "ff" * 16)  # its log.db was replaced
    assert await ids(store) == []
    second = await store.downlog.append(CHILD, command("b"), in_an_hour(store))
    assert second.down_log != first.down_log
    assert await ids(store) == ["b"]


async def test_a_command_for_a_child_never_seen_waits_for_its_first_store(
    store: LogStore,
) -> None:
    await store.downlog.append(OTHER, command("a"), in_an_hour(store))
    await store.ranges.fence(OTHER, STORE)
    assert await ids(store, OTHER) == ["a"]
