"""The one BLE scanner, kept alive: bluetoothd restarts, adapters come and go, radios hang; adverts go on."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gateway.driver.contract import Advert
from gateway.errors import TransientError, UnsupportedCommandError
from gateway.links import bluez
from gateway.links.advert_changes import AdvertChanges
from gateway.links.link import Health, LinkState
from gateway.model.backoff import delays
from gateway.model.clock import Clock, Stamp

if TYPE_CHECKING:  # what needs bleak is imported when there is BLE
    from bleak import BleakScanner
    from bleak.backends.device import BLEDevice
    from bleak.backends.scanner import AdvertisementData

    from gateway.links import ble_bleak

logger = logging.getLogger(__name__)

START_ATTEMPTS = 4  # then the adapter is switched off and on: the first rung of the ladder
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
NO_RSSI_DBM = -127  # bleak's word for "BlueZ gave none": a change of properties that was no advert
FAULTY_ADVERT = (LookupError, TypeError, ValueError, AttributeError)
COUNTERS = (
    "adverts",
    "repeats",
    "dropped",
    "faulty",
    "starts",
    "failed_starts",
    "silences",
    "power_cycles",
)


@dataclass(frozen=True, slots=True)
class ScannerSettings:
    """How to listen for adverts."""

    name: str = "ble"
    adapter: str | None = None  # hci0; None: the first one that is on
    mode: Literal["active", "passive"] = "active"
    silence_s: float = (
        60.0  # then the scanner is started anew: a restarted bluetoothd never calls back
    )
    repeat_every_s: float = 10.0  # equal adverts of one device pass once in this time
    most_queued: int = 1024  # adverts; at the bound the oldest is dropped and counted
    retry_s: float = 5.0  # between attempts; grows to twelve times as much
    rung_s: float = (
        30.0  # rest after an adapter was switched off and on; grows to twenty times as much
    )
    power_off_s: float = 1.0  # how long it stays off


class BleScanner:
    """Matches `Link`; there is one for all BLE drivers, because BlueZ scans once whoever asks."""

    def __init__(self, settings: ScannerSettings, clock: Clock) -> None:
        self.name = settings.name
        self.origin = "ble"
        self._settings = settings
        self._clock = clock
        self._health = Health(settings.name, clock, COUNTERS)
        self._changes = AdvertChanges(int(settings.repeat_every_s * 1000))
        self._heard: deque[tuple[Advert, Stamp]] = deque(maxlen=settings.most_queued)
        self._wake = asyncio.Event()
        self._scanner: BleakScanner | None = None
        self._called_s = 0.0  # loop time of the last advert, or of the start
        self._attempts = 0  # starts that brought no advert
        self._has_heard = False  # since the adapter was last seen: only then is silence a symptom
        self._retries = self._fresh_retries()
        self._rungs = self._fresh_rungs()

    async def chunks(self) -> AsyncIterator[tuple[Advert, Stamp]]:
        """Yield (advert, when heard) for ever, with only the keys that the advert brought."""
        try:
            while True:
                await self._start_patiently()
                while await self._is_heard():
                    while self._heard:
                        yield self._heard.popleft()
                self._note_silence()
                await self._stop()
        finally:
            await self._stop()
            if self._health.state is LinkState.OPEN:
                self._health.become(LinkState.WAITING, "closed")

    async def write(self, data: bytes) -> None:
        """Refuse: adverts go one way."""
        raise UnsupportedCommandError(
            f"{len(data)} bytes can't be written to a BLE scanner",
            code="GW-1211",
            hint="use a driver that connects to the device",
        )

    def state(self) -> dict[str, object]:
        """Return how scanning is, and how many devices were heard."""
        return self._health.as_dict() | {"addresses": len(self._changes)}

    def device_of(self, address: str) -> "BLEDevice | None":
        """Return bleak's handle of a device heard in this scan; connecting by it needs no scan of its own."""
        devices = self._scanner.discovered_devices if self._scanner is not None else []
        return next((device for device in devices if device.address == address), None)

    # --- hearing -----------------------------------------------------------------------------

    def _on_advert(self, device: "BLEDevice", data: "AdvertisementData") -> None:
        """Take bleak's callback; what is raised here would vanish in the D-Bus library."""
        try:
            self._take(device.address.upper(), data)
        except FAULTY_ADVERT:
            self._health.count("faulty")
            logger.debug("advert not understood", extra={"link": self.name}, exc_info=True)

    def _take(self, address: str, data: "AdvertisementData") -> None:
        if data.rssi == NO_RSSI_DBM:
            return
        self._called_s = asyncio.get_running_loop().time()
        if self._attempts or not self._has_heard:
            self._note_hearing()
        stamp = self._clock.stamp()
        brought = self._changes.brought(
            address, data.manufacturer_data, data.service_data, stamp.uptime_ms
        )
        if brought is None:
            self._health.count("repeats")
            return
        if len(self._heard) == self._settings.most_queued:
            self._health.count("dropped")
        manufacturer, service = brought
        advert = Advert(address, data.rssi, service, manufacturer, data.local_name or "")
        self._heard.append((advert, stamp))
        self._health.count("adverts")
        self._wake.set()

    def _note_hearing(self) -> None:
        self._attempts = 0
        self._has_heard = True
        self._retries, self._rungs = self._fresh_retries(), self._fresh_rungs()
        self._health.become(LinkState.OPEN)

    async def _is_heard(self) -> bool:
        """Wait until there is an advert to yield; False after a silence that needs a new scan."""
        loop = asyncio.get_running_loop()
        while not self._heard:
            rest_s = self._called_s + self._settings.silence_s - loop.time()
            if rest_s <= 0:
                return False
            self._wake.clear()
            timer = loop.call_later(rest_s, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
        return True

    def _note_silence(self) -> None:
        self._health.count("silences")
        if self._has_heard:
            self._attempts += 1
        self._health.become(
            LinkState.OPEN,
            f"nothing heard for {self._settings.silence_s:g} s, scanning was started anew",
            "nothing, if no BLE device is near; else check antenna and USB 3 neighbours",
            "GW-1216",
        )

    # --- starting and stopping ---------------------------------------------------------------

    async def _start_patiently(self) -> None:
        while True:
            if self._attempts >= START_ATTEMPTS:
                await self._power_cycle()
            if await self._start():
                return
            await asyncio.sleep(next(self._retries))

    async def _start(self) -> bool:
        if reason := bluez.absence():
            hint = "nothing, if there are no BLE devices; else plug an adapter in and install bluez"
            self._health.become(LinkState.MISSING, reason, hint, "GW-1212")
            return False
        try:
            await asyncio.to_thread(_load_bleak)
        except ImportError as error:
            hint = "install it: pip install bleak (Linux; not made for 32-bit ARM)"
            self._health.become(LinkState.MISSING, f"no BLE library: {error}", hint, "GW-1212")
            return False
        return await self._start_scanner()

    async def _start_scanner(self) -> bool:
        from gateway.links import ble_bleak  # noqa: PLC0415 - loaded by now, in a thread

        scanner = ble_bleak.make_scanner(
            self._settings.mode, self._settings.adapter, self._on_advert
        )
        self._called_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await scanner.start()
        except ble_bleak.FAULTS as error:
            self._note_failure(ble_bleak.explain(error))
            return False
        self._scanner = scanner
        self._health.count("starts")
        if self._health.state is not LinkState.OPEN:
            self._health.become(LinkState.OPEN)
        return True

    def _note_failure(self, fault: "ble_bleak.Fault") -> None:
        self._health.count("failed_starts")
        self._health.fail(fault.state, fault.error)
        if fault.is_counted:
            self._attempts += 1
        else:
            self._attempts, self._has_heard = 0, False

    async def _stop(self) -> None:
        """Stop scanning; that BlueZ or the adapter is gone meanwhile is no news."""
        scanner, self._scanner = self._scanner, None
        if scanner is None:
            return
        from gateway.links import ble_bleak  # noqa: PLC0415 - loaded by now, in a thread

        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await scanner.stop()
        except ble_bleak.FAULTS as error:
            logger.debug("scan not stopped", extra={"link": self.name, "why": str(error)})

    async def _power_cycle(self) -> None:
        """Switch the adapter off and on, then rest: a radio that hangs is not mended by hammering."""
        self._attempts = 0
        self._health.count("power_cycles")
        try:
            async with asyncio.timeout(START_TIMEOUT_S + self._settings.power_off_s):
                for adapter in await bluez.adapters():
                    if self._settings.adapter in {None, adapter.name}:
                        await bluez.set_powered(adapter.path, powered=False)
                        await asyncio.sleep(self._settings.power_off_s)
                        await bluez.set_powered(adapter.path, powered=True)
                        break
        except (OSError, EOFError) as error:
            self._health.fail(LinkState.WAITING, _stuck(error))
        await asyncio.sleep(next(self._rungs))

    def _fresh_retries(self) -> Iterator[float]:
        return delays(self._settings.retry_s, self._settings.retry_s * 12)

    def _fresh_rungs(self) -> Iterator[float]:
        return delays(self._settings.rung_s, self._settings.rung_s * 20)


def _load_bleak() -> None:
    from gateway.links import ble_bleak  # noqa: F401, PLC0415 - imported for the time that it takes


def _stuck(error: Exception) -> TransientError:
    return TransientError(
        f"scanning does not start, and the adapter can't be switched off and on: {error}",
        code="GW-1215",
        hint="unplug the adapter, or run `sudo systemctl restart bluetooth`",
    )
