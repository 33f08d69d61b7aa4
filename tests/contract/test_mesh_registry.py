"""What every registry promises (`DeviceRepository`, `TokenRepository`): the same tests over each one there is."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.model import Document
from gateway.model.ports import DeviceRepository, SearchQuery, TokenRecord, TokenRepository
from tests.fakes.mesh_node import device_uuid
from tests.fakes.mesh_registry import MemoryDevices, MemoryTokens

A, B, C = (device_uuid(n) for n in range(1, 4))


@dataclass
class Registry:
    devices: DeviceRepository
    tokens: TokenRepository


@contextlib.asynccontextmanager
async def in_memory(_folder: Any) -> AsyncIterator[Registry]:
    tokens = MemoryTokens()
    yield Registry(MemoryDevices(tokens), tokens)


REGISTRIES = {"memory": in_memory}


@pytest.fixture(params=sorted(REGISTRIES))
async def registry(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Registry]:
    async with REGISTRIES[request.param](tmp_path) as opened:
        yield opened


def token(uuid: Any, mark: bytes, **fields: Any) -> TokenRecord:
    return TokenRecord(uuid, mark * 36, **fields)


async def test_what_was_inserted_is_read_back_as_a_copy(registry: Registry) -> None:
    document: Document = {"uuid": A, "a": {"b": [1, None, "ü", {"$ref": "x"}]}}
    await registry.devices.insert(document)
    document["a"]["b"].append(2)
    first = await registry.devices.get(A)
    assert first == {"uuid": A, "a": {"b": [1, None, "ü", {"$ref": "x"}]}}
    first["a"] = 1
    assert await registry.devices.get(A) != first
    assert await registry.devices.get(B) is None


async def test_a_uuid_is_taken_once_and_a_failed_insert_leaves_no_token(registry: Registry) -> None:
    await registry.devices.insert({"uuid": A, "n": 1})
    with pytest.raises(KeyError):
        await registry.devices.insert({"uuid": A, "n": 2}, [token(A, b"x")])
    assert await registry.devices.get(A) == {"uuid": A, "n": 1}
    assert list(await registry.tokens.of(A)) == []


async def test_an_update_returns_the_document_before_and_after(registry: Registry) -> None:
    await registry.devices.insert({"uuid": A, "n": 1})

    def program(document: Document) -> Document:
        document["n"] += 1
        return document

    assert await registry.devices.update(A, program) == ({"uuid": A, "n": 1}, {"uuid": A, "n": 2})
    assert await registry.devices.get(A) == {"uuid": A, "n": 2}
    assert await registry.devices.update(B, program) is None


async def test_an_update_to_nothing_changes_nothing(registry: Registry) -> None:
    await registry.devices.insert({"uuid": A, "n": 1})

    def program(document: Document) -> None:
        document["n"] = 2

    found = await registry.devices.update(A, program)
    assert found is not None
    assert found[0] == found[1] == {"uuid": A, "n": 1}
    assert await registry.devices.get(A) == {"uuid": A, "n": 1}


async def test_an_update_that_raises_changes_nothing_and_raises_to_the_caller(
    registry: Registry,
) -> None:
    await registry.devices.insert({"uuid": A, "n": 1})

    def program(document: Document) -> Document:
        document["n"] = 2
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await registry.devices.update(A, program)
    assert await registry.devices.get(A) == {"uuid": A, "n": 1}
    await registry.devices.insert({"uuid": B})
    assert await registry.devices.get(B) is not None


async def test_deleting_removes_the_device_with_its_tokens_alone(registry: Registry) -> None:
    await registry.devices.insert({"uuid": A}, [token(A, b"x")])
    await registry.devices.insert({"uuid": B}, [token(B, b"y")])
    assert await registry.devices.delete(A) == {"uuid": A}
    assert await registry.devices.delete(A) is None
    assert list(await registry.tokens.of(A)) == []
    assert len(await registry.tokens.of(B)) == 1


async def test_search_returns_matches_newest_first_up_to_the_limit(registry: Registry) -> None:
    for uuid, type_ in ((A, "x"), (B, "y"), (C, "x")):
        await registry.devices.insert({"uuid": uuid, "type": type_})
    found = await registry.devices.search(SearchQuery(lambda each: each["type"] == "x"))
    assert [each["uuid"] for each in found] == [C, A]
    one = await registry.devices.search(SearchQuery(lambda _: True, limit=1))
    assert [each["uuid"] for each in one] == [C]


async def test_tokens_are_kept_with_all_they_carry(registry: Registry) -> None:
    await registry.devices.insert({"uuid": A})
    kept = token(A, b"x", metadata={"tag": "t", "n": [1]}, expires_ms=5)
    root = token(A, b"r", is_root=True)
    await registry.tokens.add(kept)
    await registry.tokens.add(root)
    assert sorted(await registry.tokens.of(A), key=lambda each: each.hash) == [root, kept]
    assert await registry.tokens.remove(A, lambda each: each.metadata.get("tag") == "t") == 1
    assert list(await registry.tokens.of(A)) == [root]
    assert await registry.tokens.remove(B, lambda _: True) == 0


async def test_access_records_hold_compiled_lists_and_token_hashes(registry: Registry) -> None:
    await registry.devices.insert({"uuid": A, "sendWhitelist": [B.upper()]}, [token(A, b"x")])
    await registry.devices.insert({"uuid": B, "owner": A})
    await registry.tokens.add(token(A, b"y"))
    records = await registry.devices.access_records([A, B, C, A])
    assert set(records) == {A, B}
    assert records[A].uuid == A
    assert dict(records[A].lists) == {"message.from": frozenset([B])}
    assert records[A].token_hashes == {b"x" * 36, b"y" * 36}
    assert records[B].lists["configure.update"] == {A}
    assert records[B].token_hashes == frozenset()
    assert await registry.devices.access_records([]) == {}


async def test_access_records_follow_every_write(registry: Registry) -> None:
    await registry.devices.insert({"uuid": A}, [token(A, b"x")])
    before = (await registry.devices.access_records([A]))[A]
    await registry.devices.update(A, lambda each: each | {"sendWhitelist": ["*"]})
    after = (await registry.devices.access_records([A]))[A]
    assert dict(after.lists) == {"message.from": frozenset("*")}
    assert after.version > before.version
    await registry.tokens.remove(A, lambda _: True)
    assert (await registry.devices.access_records([A]))[A].token_hashes == frozenset()
    await registry.devices.delete(A)
    assert await registry.devices.access_records([A]) == {}


async def test_access_records_of_a_thousand_devices_are_one_call(registry: Registry) -> None:
    crowd = [device_uuid(n) for n in range(1000)]
    await registry.devices.insert({"uuid": crowd[7]})
    assert set(await registry.devices.access_records(crowd)) == {crowd[7]}
