"""What any registry promises: SQLite's, and the fake that the mesh's tests use."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.model import DeviceUuid, Document
from gateway.model.ports import DeviceRepository, SearchQuery, TokenRecord, TokenRepository
from gateway.store.committer import Committer
from gateway.store.registry_sqlite import SqliteDevices, SqliteTokens
from tests.fakes.mesh_registry import MemoryDevices, MemoryTokens

A = DeviceUuid("aaaaaaaa-0000-4000-8000-000000000001")
B = DeviceUuid("bbbbbbbb-0000-4000-8000-000000000002")
FOR_EVER_MS = 1 << 45


@dataclass
class Registry:
    devices: DeviceRepository
    tokens: TokenRepository


@pytest.fixture(params=["sqlite", "memory"])
async def registry(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Registry]:
    if request.param == "memory":
        tokens = MemoryTokens()
        yield Registry(MemoryDevices(tokens), tokens)
        return
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    yield Registry(SqliteDevices(committer), SqliteTokens(committer))
    await committer.close()


def document(uuid: DeviceUuid, **fields: object) -> Document:
    whitelists = {"message": {"from": [{"uuid": B}]}}
    return {"uuid": uuid, "meshblu": {"version": "2.0.0", "whitelists": whitelists}, **fields}


async def test_a_document_comes_back_as_it_went_in(registry: Registry) -> None:
    stored = document(A, name="Küche", odd="\ud800", deep={"list": [1, 2.5, None, True]})
    await registry.devices.insert(stored)
    assert await registry.devices.get(A) == stored
    assert await registry.devices.get(B) is None


async def test_a_taken_uuid_is_refused_and_changes_nothing(registry: Registry) -> None:
    await registry.devices.insert(document(A, name="first"))
    with pytest.raises(KeyError):
        await registry.devices.insert(document(A, name="second"), [TokenRecord(A, b"h")])
    assert await registry.devices.get(A) == document(A, name="first")
    assert list(await registry.tokens.of(A)) == []


async def test_an_update_sees_the_newest_document(registry: Registry) -> None:
    await registry.devices.insert(document(A, count=0))

    def one_more(each: Document) -> Document:
        return {**each, "count": each["count"] + 1}

    await asyncio.gather(*(registry.devices.update(A, one_more) for _ in range(10)))
    found = await registry.devices.get(A)
    assert found is not None
    assert found["count"] == 10


async def test_an_update_gives_before_and_after(registry: Registry) -> None:
    await registry.devices.insert(document(A, name="old"))
    changed = await registry.devices.update(A, lambda each: {**each, "name": "new"})
    assert changed == (document(A, name="old"), document(A, name="new"))


async def test_an_update_may_change_its_copy_in_place(registry: Registry) -> None:
    await registry.devices.insert(document(A, name="old"))

    def in_place(each: Document) -> Document:
        each["name"] = "new"
        return each

    assert await registry.devices.update(A, in_place) == (
        document(A, name="old"),
        document(A, name="new"),
    )


async def test_an_update_to_nothing_changes_nothing(registry: Registry) -> None:
    await registry.devices.insert(document(A))
    assert await registry.devices.update(A, lambda each: None) == (document(A), document(A))
    assert await registry.devices.update(B, lambda each: each) is None


async def test_an_update_that_fails_changes_nothing(registry: Registry) -> None:
    await registry.devices.insert(document(A, name="old"))

    def broken(each: Document) -> Document:
        each["name"] = "half"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await registry.devices.update(A, broken)
    assert await registry.devices.get(A) == document(A, name="old")


async def test_a_deleted_device_takes_its_tokens_along(registry: Registry) -> None:
    await registry.devices.insert(document(A), [TokenRecord(A, b"h")])
    assert await registry.devices.delete(A) == document(A)
    assert await registry.devices.delete(A) is None
    await registry.devices.insert(document(A))
    assert list(await registry.tokens.of(A)) == []


async def test_search_gives_newest_first_and_keeps_its_limit(registry: Registry) -> None:
    uuids = [DeviceUuid(f"cccccccc-0000-4000-8000-00000000000{n}") for n in range(5)]
    for n, uuid in enumerate(uuids):
        await registry.devices.insert(document(uuid, even=n % 2 == 0))
    query = SearchQuery(lambda each: bool(each["even"]), limit=2)
    assert [each["uuid"] for each in await registry.devices.search(query)] == [uuids[4], uuids[2]]


async def test_access_records_hold_lists_and_hashes_of_those_that_exist(
    registry: Registry,
) -> None:
    await registry.devices.insert(document(A), [TokenRecord(A, b"h1"), TokenRecord(A, b"h2")])
    records = await registry.devices.access_records([A, B])
    assert set(records) == {A}
    assert records[A].lists["message.from"] == frozenset({B})
    assert records[A].token_hashes == frozenset({b"h1", b"h2"})


async def test_a_version_grows_with_every_write_and_over_a_deletion(registry: Registry) -> None:
    async def version() -> int:
        return (await registry.devices.access_records([A]))[A].version

    await registry.devices.insert(document(A))
    versions = [await version()]
    await registry.devices.update(A, lambda each: {**each, "name": "x"})
    versions.append(await version())
    await registry.devices.delete(A)
    await registry.devices.insert(document(A))
    versions.append(await version())
    assert versions == sorted(set(versions))


async def test_tokens_are_kept_whole_and_removed_by_a_predicate(registry: Registry) -> None:
    await registry.devices.insert(document(A))
    root = TokenRecord(A, b"r", is_root=True)
    session = TokenRecord(A, b"s", {"tag": "phone"}, expires_ms=FOR_EVER_MS)
    for token in (root, session):
        await registry.tokens.add(token)
    assert {t.hash: t for t in await registry.tokens.of(A)} == {b"r": root, b"s": session}
    assert await registry.tokens.remove(A, lambda t: t.metadata.get("tag") == "phone") == 1
    assert list(await registry.tokens.of(A)) == [root]
    assert await registry.tokens.remove(A, lambda t: False) == 0
