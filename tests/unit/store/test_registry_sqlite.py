"""What only the SQLite registry does."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.model import DeviceUuid
from gateway.model.ports import DeviceRepository, TokenRecord, TokenRepository
from gateway.store.committer import Committer
from gateway.store.registry_sqlite import SqliteDevices, SqliteTokens

A = DeviceUuid("aaaaaaaa-0000-4000-8000-000000000001")


@pytest.fixture
async def committer(tmp_path: Path) -> AsyncIterator[Committer]:
    opened = Committer(tmp_path / "state.db", "state")
    await opened.open()
    yield opened
    await opened.close()


async def test_an_expired_token_opens_nothing(committer: Committer) -> None:
    devices: DeviceRepository = SqliteDevices(committer)
    await devices.insert({"uuid": A}, [TokenRecord(A, b"old", expires_ms=1)])
    assert (await devices.access_records([A]))[A].token_hashes == frozenset()


async def test_a_token_of_nobody_is_refused(committer: Committer) -> None:
    tokens: TokenRepository = SqliteTokens(committer)
    with pytest.raises(KeyError):
        await tokens.add(TokenRecord(A, b"h"))


async def test_a_token_counts_as_a_write_of_its_device(committer: Committer) -> None:
    devices, tokens = SqliteDevices(committer), SqliteTokens(committer)
    await devices.insert({"uuid": A})
    before = (await devices.access_records([A]))[A].version
    await tokens.add(TokenRecord(A, b"h"))
    assert (await devices.access_records([A]))[A].version > before


async def test_a_document_keeps_its_uuid(committer: Committer) -> None:
    devices = SqliteDevices(committer)
    await devices.insert({"uuid": A})
    with pytest.raises(ValueError, match="keep its uuid"):
        await devices.update(A, lambda each: {**each, "uuid": "other"})


async def test_many_records_cost_one_query(committer: Committer) -> None:
    devices = SqliteDevices(committer)
    uuids = [DeviceUuid(f"aaaaaaaa-0000-4000-8000-{n:012d}") for n in range(2_000)]
    for uuid in uuids[:50]:
        await devices.insert({"uuid": uuid})
    assert len(await devices.access_records(uuids)) == 50
