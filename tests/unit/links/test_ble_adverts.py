"""BleScanner through an unmodified bleak, over a private D-Bus, against a fake BlueZ; the traps of BlueZ and bleak."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.driver.contract import Advert
from gateway.errors import UnsupportedCommandError
from gateway.links.ble_adverts import BleScanner, ScannerSettings
from tests.fakes.clock import FakeClock
from tests.fakes.fakebluez import ADAPTER, DEVICE, FakeBlueZ, RefusalError
from tests.fakes.privatebus import private_bus
from tests.fakes.waiting import eventually
from tests.unit.links.collecting import collecting

HERE = "A4:C1:38:8D:18:B2"
THERE = "A4:C1:38:8D:18:B3"
BTHOME = "0000fcd2-0000-1000-8000-00805f9b34fb"


@pytest.fixture
def _bus(tmp_path: Path) -> Iterator[None]:
    with private_bus(tmp_path):
        yield


@pytest.fixture
async def bluez(_bus: None) -> AsyncIterator[FakeBlueZ]:
    fake = await FakeBlueZ().start()
    await fake.add_adapter()
    yield fake
    await fake.stop()


def scanner_with(clock: FakeClock | None = None, **changes: Any) -> BleScanner:
    quick: dict[str, Any] = {"retry_s": 0.02, "rung_s": 0.02, "power_off_s": 0.01}
    return BleScanner(ScannerSettings(**(quick | changes)), clock or FakeClock())


def stands(link: BleScanner, state: str) -> bool:
    return link.state()["state"] == state


def counter(link: BleScanner, name: str) -> int:
    counters: Any = link.state()["counters"]
    return int(counters[name])


async def say_until(
    claim: Callable[[], object], bluez: FakeBlueZ, address: str, data: bytes
) -> None:
    """Advertise until it is heard: with a short silence, scans come and go between two lines of a test."""
    async with asyncio.timeout(5):
        while not claim():
            await bluez.advertise(address, manufacturer={1: data})
            await asyncio.sleep(0.005)


async def test_an_advert_arrives_with_its_data_name_and_strength(bluez: FakeBlueZ) -> None:
    link = scanner_with()
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, service={BTHOME: b"\x40\x01\x61"}, rssi=-71, name="ATC")
        await eventually(lambda: heard)
    assert heard == [Advert(HERE, -71, {BTHOME: b"\x40\x01\x61"}, {}, "ATC")]


async def test_trap_1_a_sensor_that_repeats_its_value_stays_alive(bluez: FakeBlueZ) -> None:
    clock = FakeClock()
    link = scanner_with(clock, repeat_every_s=10)
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        for _ in range(3):
            assert await bluez.advertise(HERE, manufacturer={0x0499: b"\x05\x01"})
        await eventually(lambda: counter(link, "repeats") == 2)
        assert len(heard) == 1
        clock.advance(10_000)
        await bluez.advertise(HERE, manufacturer={0x0499: b"\x05\x01"})
        await eventually(lambda: len(heard) == 2)
    assert heard[1].manufacturer_data == {0x0499: b"\x05\x01"}


async def test_trap_2_a_restarted_bluetoothd_is_noticed_by_its_silence(_bus: None) -> None:
    first = await FakeBlueZ().start()
    await first.add_adapter()
    link = scanner_with(silence_s=0.3)
    async with collecting(link) as heard:
        await say_until(lambda: heard, first, HERE, b"a")
        await first.stop()
        second = await FakeBlueZ().start()
        await second.add_adapter()
        assert not second.is_scanning()
        await eventually(second.is_scanning)
        await say_until(lambda: len(heard) == 2, second, THERE, b"b")
    assert counter(link, "silences") >= 1
    await second.stop()


async def test_trap_3_only_the_changed_company_id_is_delivered(bluez: FakeBlueZ) -> None:
    """Passive scans accumulate in BlueZ: readings that stand in the company id pile up in one dict."""
    link = scanner_with(mode="passive")
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={0x0901: b"\x01"})
        await bluez.advertise(HERE, manufacturer={0x0902: b"\x02"})
        await bluez.advertise(HERE, service={BTHOME: b"\x40"})
        await eventually(lambda: len(heard) == 3)
    known = bluez.objects["/org/bluez/hci0/dev_A4_C1_38_8D_18_B2"][DEVICE]
    assert known["ManufacturerData"] == {0x0901: b"\x01", 0x0902: b"\x02"}
    assert [advert.manufacturer_data for advert in heard] == [
        {0x0901: b"\x01"},
        {0x0902: b"\x02"},
        {},
    ]
    assert heard[2].service_data == {BTHOME: b"\x40"}


async def test_trap_3_an_active_scan_does_not_repeat_the_other_kind_of_data(
    bluez: FakeBlueZ,
) -> None:
    link = scanner_with()
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={1: b"old"})
        await bluez.advertise(HERE, service={BTHOME: b"new"})
        await eventually(lambda: len(heard) == 2)
    assert (heard[1].manufacturer_data, heard[1].service_data) == ({}, {BTHOME: b"new"})


class _BrokenOnce(FakeClock):
    """Fails the first time it is asked for a stamp, inside the advert callback."""

    is_broken = True

    def stamp(self) -> Any:
        if self.is_broken:
            self.is_broken = False
            raise ValueError("no time")
        return super().stamp()


async def test_trap_4_a_failure_in_the_callback_is_counted_and_ends_nothing(
    bluez: FakeBlueZ,
) -> None:
    link = scanner_with(_BrokenOnce())
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={1: b"lost"})
        await bluez.advertise(HERE, manufacturer={1: b"kept"})
        await eventually(lambda: heard)
    assert counter(link, "faulty") == 1
    assert heard[0].manufacturer_data == {1: b"kept"}


async def test_trap_4_an_advert_that_bleak_chokes_on_ends_nothing(
    bluez: FakeBlueZ, caplog: pytest.LogCaptureFixture
) -> None:
    link = scanner_with()
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={1: b"a"})
        await bluez.signal_garbage("/org/bluez/hci0/dev_A4_C1_38_8D_18_B2")
        await bluez.advertise(HERE, manufacturer={1: b"b"})
        await eventually(lambda: len(heard) == 2)
    assert "AttributeError" in caplog.text


async def test_trap_5_connecting_to_a_heard_device_starts_no_second_scan(bluez: FakeBlueZ) -> None:
    from bleak import BleakClient
    from bleak.exc import BleakDBusError

    link = scanner_with()
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={1: b"a"})
        await eventually(lambda: heard)
        device = link.device_of(HERE)
        assert device is not None
        async with BleakClient(device) as client:
            assert client.is_connected
        assert bluez.calls.count("StartDiscovery") == 1
        with pytest.raises(BleakDBusError, match="InProgress"):  # the trap: a scan of its own
            await BleakClient(HERE).connect()


async def test_trap_6_a_flood_of_adverts_breaks_no_connection(bluez: FakeBlueZ) -> None:
    link = scanner_with(most_queued=10_000)
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        for n in range(2_000):
            await bluez.advertise(HERE, manufacturer={1: n.to_bytes(2, "big")})
        await eventually(lambda: len(heard) == 2_000)
    assert counter(link, "dropped") == 0


async def test_a_slow_consumer_loses_the_oldest_adverts_and_they_are_counted(
    bluez: FakeBlueZ,
) -> None:
    link = scanner_with(most_queued=5)
    chunks = link.chunks()
    async with contextlib.aclosing(chunks):
        first = asyncio.ensure_future(anext(chunks))  # noqa: TID251 - one step of the iterator, awaited below
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={1: b"\x00"})
        await first
        for n in range(1, 9):
            await bluez.advertise(HERE, manufacturer={1: bytes([n])})
        await eventually(lambda: counter(link, "dropped") == 3)
        advert, _stamp = await anext(chunks)
        assert advert.manufacturer_data == {1: b"\x04"}


async def test_a_change_of_properties_that_is_no_advert_is_not_delivered(bluez: FakeBlueZ) -> None:
    link = scanner_with()
    path = "/org/bluez/hci0/dev_A4_C1_38_8D_18_B2"
    async with collecting(link) as heard:
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={1: b"a"})
        await bluez.change(path, DEVICE, {}, ("RSSI",))
        await bluez.advertise(HERE, manufacturer={1: b"b"})
        await eventually(lambda: len(heard) == 2)
    assert [advert.rssi_dbm for advert in heard] == [-60, -60]


async def test_an_adapter_that_is_plugged_in_later_is_used(_bus: None) -> None:
    bluez = await FakeBlueZ().start()
    link = scanner_with()
    async with collecting(link) as heard:
        await eventually(lambda: stands(link, "missing"))
        assert "No Bluetooth adapters" in str(link.state()["reason"])
        assert counter(link, "power_cycles") == 0
        await bluez.add_adapter()
        await eventually(bluez.is_scanning)
        await bluez.advertise(HERE, manufacturer={1: b"a"})
        await eventually(lambda: heard)
        assert stands(link, "open")
    await bluez.stop()


async def test_an_adapter_that_is_pulled_and_put_back_goes_on(bluez: FakeBlueZ) -> None:
    link = scanner_with(silence_s=0.2)
    async with collecting(link) as heard:
        await say_until(lambda: heard, bluez, HERE, b"a")
        await bluez.remove("/org/bluez/hci0")
        await eventually(lambda: stands(link, "missing"))
        await bluez.add_adapter()
        await say_until(lambda: len(heard) == 2, bluez, HERE, b"b")


async def test_an_adapter_that_is_off_is_named_with_the_way_to_switch_it_on(_bus: None) -> None:
    bluez = await FakeBlueZ().start()
    path = await bluez.add_adapter(powered=False)
    link = scanner_with()
    async with collecting(link):
        await eventually(lambda: stands(link, "waiting") and link.state()["code"] == "GW-1213")
        assert "rfkill unblock" in str(link.state()["hint"])
        await bluez.change(path, ADAPTER, {"Powered": True})
        await eventually(bluez.is_scanning)
    await bluez.stop()


async def test_a_missing_bluetoothd_is_waited_for(_bus: None) -> None:
    link = scanner_with()
    async with collecting(link):
        await eventually(lambda: link.state()["code"] == "GW-1214")
        bluez = await FakeBlueZ().start()
        await bluez.add_adapter()
        await eventually(bluez.is_scanning)
    await bluez.stop()


async def test_a_machine_without_a_radio_does_not_load_bleak(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from gateway.links import bluez

    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(bluez, "ADAPTERS", tmp_path)
    link = scanner_with()
    async with collecting(link):
        await eventually(lambda: stands(link, "missing"))
        assert counter(link, "failed_starts") == 0


async def test_after_four_refused_starts_the_adapter_is_switched_off_and_on(
    bluez: FakeBlueZ,
) -> None:
    bluez.refusals["StartDiscovery"] = [RefusalError("Failed", "stuck") for _ in range(4)]
    link = scanner_with()
    async with collecting(link):
        await eventually(bluez.is_scanning)
        await eventually(lambda: stands(link, "open"))
    assert counter(link, "failed_starts") == 4
    assert counter(link, "power_cycles") == 1
    assert bluez.calls.count("Set") == 2
    assert bluez.objects["/org/bluez/hci0"][ADAPTER]["Powered"] is True


async def test_a_radio_that_falls_silent_is_switched_off_and_on_but_an_empty_air_is_not(
    bluez: FakeBlueZ,
) -> None:
    link = scanner_with(silence_s=0.03)
    async with collecting(link) as heard:
        await eventually(lambda: counter(link, "silences") > 6)
        assert counter(link, "power_cycles") == 0
        await say_until(lambda: heard, bluez, HERE, b"a")
        await eventually(lambda: counter(link, "power_cycles") == 1)


async def test_a_stopped_scanner_stops_the_scan(bluez: FakeBlueZ) -> None:
    link = scanner_with()
    async with collecting(link):
        await eventually(bluez.is_scanning)
    await eventually(lambda: not bluez.is_scanning())
    assert stands(link, "waiting")


async def test_adverts_cannot_be_written(bluez: FakeBlueZ) -> None:
    with pytest.raises(UnsupportedCommandError, match="can't be written"):
        await scanner_with().write(b"x")
