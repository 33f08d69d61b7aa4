"""The few questions to BlueZ beside scanning."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.links import bluez
from tests.fakes.fakebluez import FakeBlueZ
from tests.fakes.privatebus import private_bus


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeBlueZ]:
    with private_bus(tmp_path):
        fake = await FakeBlueZ().start()
        yield fake
        await fake.stop()


async def test_adapters_are_listed_and_switched(fake: FakeBlueZ) -> None:
    path = await fake.add_adapter("hci1")
    await bluez.set_powered(path, powered=False)
    (adapter,) = await bluez.adapters()
    assert (adapter.name, adapter.is_powered) == ("hci1", False)


async def test_an_adapter_that_is_gone_is_an_error_with_bluez_words(fake: FakeBlueZ) -> None:
    with pytest.raises(bluez.BluezError, match="UnknownObject"):
        await bluez.set_powered("/org/bluez/hci7", powered=True)


async def test_a_bus_without_bluez_is_an_error(tmp_path: Path) -> None:
    with private_bus(tmp_path), pytest.raises(bluez.BluezError, match="ServiceUnknown"):
        await bluez.adapters()


def test_absence_is_told_from_presence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(bluez.BUS_VARIABLE, raising=False)
    monkeypatch.setattr(bluez, "BUS_SOCKETS", (tmp_path / "socket",))
    monkeypatch.setattr(bluez, "ADAPTERS", tmp_path / "adapters")
    assert "D-Bus" in bluez.absence()
    (tmp_path / "socket").touch()
    assert "adapter" in bluez.absence()
    (tmp_path / "adapters" / "hci0").mkdir(parents=True)
    assert bluez.absence() == ""
