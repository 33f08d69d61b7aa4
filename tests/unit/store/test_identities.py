"""A hardware id becomes one device for good, and when it was heard last survives a restart."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model import DeviceUuid, HardwareId, Identity
from gateway.model.ports import IdentityRepository
from gateway.store.committer import Committer
from gateway.store.identities import SqliteIdentities
from gateway.store.registry_sqlite import SqliteDevices
from tests.fakes.clock import FakeClock

A = DeviceUuid("aaaaaaaa-0000-4000-8000-000000000001")
B = DeviceUuid("bbbbbbbb-0000-4000-8000-000000000002")


def identity(uuid: DeviceUuid = A, slug: str = "door", hardware: str = "ble:A4") -> Identity:
    return Identity(HardwareId(hardware), uuid, slug, "ruuvi", "ble", 1_000, None)


@pytest.fixture
async def committer(tmp_path: Path) -> AsyncIterator[Committer]:
    opened = Committer(tmp_path / "state.db", "state")
    await opened.open()
    yield opened
    await opened.close()


async def test_a_claim_makes_identity_and_device_together(committer: Committer) -> None:
    identities: IdentityRepository = SqliteIdentities(committer, FakeClock())
    assert await identities.claim(identity(), {"uuid": A, "name": "Door"}) == identity()
    assert list(await identities.all()) == [identity()]
    assert await SqliteDevices(committer).get(A) == {"uuid": A, "name": "Door"}


async def test_known_hardware_keeps_its_older_identity(committer: Committer) -> None:
    identities = SqliteIdentities(committer, FakeClock())
    await identities.claim(identity(), {"uuid": A})
    assert await identities.claim(identity(B, "gate"), {"uuid": B}) == identity()
    assert await SqliteDevices(committer).get(B) is None


async def test_a_claim_of_a_taken_slug_changes_nothing(committer: Committer) -> None:
    identities = SqliteIdentities(committer, FakeClock())
    await identities.claim(identity(), {"uuid": A})
    with pytest.raises(KeyError):
        await identities.claim(identity(B, "door", "ble:B5"), {"uuid": B})
    assert await SqliteDevices(committer).get(B) is None


async def test_a_new_slug_must_be_free(committer: Committer) -> None:
    identities = SqliteIdentities(committer, FakeClock())
    await identities.claim(identity(), {"uuid": A})
    await identities.claim(identity(B, "gate", "ble:B5"), {"uuid": B})
    assert (await identities.rename(A, "front")).slug == "front"
    with pytest.raises(KeyError):
        await identities.rename(A, "gate")
    with pytest.raises(KeyError):
        await identities.rename(DeviceUuid("nobody"), "free")


async def test_a_forgotten_device_is_gone_on_both_sides(committer: Committer) -> None:
    identities = SqliteIdentities(committer, FakeClock())
    await identities.claim(identity(), {"uuid": A})
    assert await identities.forget(A) == identity()
    assert await identities.forget(A) is None
    assert await SqliteDevices(committer).get(A) is None


async def test_the_last_time_heard_is_shown_at_once_and_kept_at_stop(
    committer: Committer,
) -> None:
    identities = SqliteIdentities(committer, FakeClock())
    await identities.claim(identity(), {"uuid": A})
    identities.seen(A, 5_000, "ble2")
    heard = replace(identity(), last_seen_ms=5_000, link="ble2")
    assert list(await identities.all()) == [heard]
    await identities.close()
    assert list(await SqliteIdentities(committer, FakeClock()).all()) == [heard]


async def test_times_heard_are_written_at_most_once_a_minute(committer: Committer) -> None:
    clock = FakeClock()
    identities = SqliteIdentities(committer, clock)
    await identities.claim(identity(), {"uuid": A})
    other = SqliteIdentities(committer, FakeClock())  # sees only what is on disk

    async def on_disk() -> int | None:
        return (await other.all())[0].last_seen_ms

    identities.seen(A, 1, "ble")
    await committer.transaction(lambda c: None)
    assert await on_disk() == 1
    identities.seen(A, 2, "ble")
    await committer.transaction(lambda c: None)
    assert await on_disk() == 1
    clock.advance(60_000)
    await committer.transaction(lambda c: None)
    assert await on_disk() == 2


async def test_a_stop_writes_the_times_heard(tmp_path: Path) -> None:
    committer = Committer(tmp_path / "state.db", "state")
    await committer.open()
    identities = SqliteIdentities(committer, FakeClock())
    await identities.claim(identity(), {"uuid": A})
    for wall_ms in (1, 2, 3):
        identities.seen(A, wall_ms, "ble")
        await committer.transaction(lambda c: None)
    await committer.close()
    again = Committer(tmp_path / "state.db", "state")
    await again.open()
    assert [each.last_seen_ms for each in await SqliteIdentities(again, FakeClock()).all()] == [3]
    await again.close()
