"""Which gateways are children, whose devices are whose, and what an invitation is worth."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.model import DeviceUuid
from gateway.model.log_ports import Children
from gateway.store.children import SqliteChildren
from gateway.store.committer import Committer

CHILD = DeviceUuid("cccccccc-0000-4000-8000-000000000001")
OTHER = DeviceUuid("dddddddd-0000-4000-8000-000000000002")
OWNER = DeviceUuid("eeeeeeee-0000-4000-8000-000000000003")
DEVICE = DeviceUuid("ffffffff-0000-4000-8000-000000000004")


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    yield SqliteChildren(committer)
    await committer.close()


async def test_accepted_children_are_known_with_their_owner(children: Children) -> None:
    await children.accept(CHILD, OWNER)
    await children.accept(OTHER, None)
    await children.accept(CHILD, OWNER)
    assert dict(await children.all()) == {CHILD: OWNER, OTHER: None}


async def test_a_device_is_spoken_for_by_the_first_that_brings_it(children: Children) -> None:
    assert await children.bring(CHILD, DEVICE) == CHILD
    assert await children.bring(OTHER, DEVICE) == CHILD
    assert dict(await children.brought()) == {DEVICE: CHILD}


async def test_a_removed_child_leaves_its_devices_to_others(children: Children) -> None:
    await children.accept(CHILD, OWNER)
    await children.bring(CHILD, DEVICE)
    await children.remove(CHILD)
    assert dict(await children.all()) == {}
    assert await children.bring(OTHER, DEVICE) == OTHER


async def test_an_invitation_is_for_one_node_and_for_it_again(children: Children) -> None:
    await children.invite(b"hash", OWNER, 10_000)
    assert await children.redeem(b"hash", CHILD, 1_000) == (True, OWNER)
    assert await children.redeem(b"hash", CHILD, 2_000) == (True, OWNER)
    assert await children.redeem(b"hash", OTHER, 2_000) == (False, None)


async def test_an_invitation_ends_with_its_time(children: Children) -> None:
    await children.invite(b"hash", OWNER, 10_000)
    assert await children.redeem(b"hash", CHILD, 10_000) == (False, None)


async def test_an_unknown_code_opens_nothing(children: Children) -> None:
    assert await children.redeem(b"guess", CHILD, 0) == (False, None)
