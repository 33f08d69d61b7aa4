"""Links and hosts from the configuration, and the demo's played-back ones; what does not fit is parked, the rest runs."""

import importlib.resources
import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.app.parking import parking
from gateway.bridge.advert_host import AdvertHost, AdvertLane
from gateway.bridge.discovery import Drivers
from gateway.bridge.dispatch import Dispatcher
from gateway.bridge.host import DriverHost
from gateway.bridge.intake import Intake
from gateway.config.load import Loaded
from gateway.config.problems import Parked
from gateway.config.schema import BleSettings, SerialSettings
from gateway.driver.captures import Capture, parsed
from gateway.driver.contract import Driver, LinkKind
from gateway.errors import ConfigError
from gateway.links.link import Link
from gateway.links.replay import Replay, ReplaySettings
from gateway.model import Clock
from gateway.runtime.supervisor import Service

CAPTURES = "drivers.captures"


class Bridge:
    """Builds the services of every link; keeps what `status` shows of them."""

    def __init__(
        self, drivers: Drivers, clock: Clock, intake: Intake, dispatcher: Dispatcher
    ) -> None:
        self.links: list[Link] = []
        self.parked: list[Parked] = []
        self.services: list[Service] = []
        self._drivers = drivers
        self._clock = clock
        self._intake = intake
        self._dispatcher = dispatcher

    def configure(self, loaded: Loaded) -> None:
        """Add what gateway.toml names; drivers' tables are used with their secrets read in."""
        tables = {key: model.model_dump() for key, model in loaded.driver_settings.items()}
        for item in loaded.settings.serial:
            with parking(f"serial {item.name}", self.parked.append):
                self._serial(item, tables.get(f"serial.{item.name}", item.settings))
        if loaded.settings.ble.enabled != "off":
            own = {key.removeprefix("drivers."): table for key, table in tables.items()}
            self._ble(loaded.settings.ble, own)

    def play_back(self) -> None:
        """Add the demo's devices: captures at the pace of the real device (the simulated one ticks)."""
        by_driver: dict[str, list[Capture]] = {}
        for name in ("serial.json", "ble.json"):
            text = importlib.resources.files(CAPTURES).joinpath(name).read_text("utf-8")
            for record in json.loads(text):
                capture = parsed(record)
                by_driver.setdefault(capture.driver, []).append(capture)
        for driver, captures in by_driver.items():
            with parking(f"demo {driver}", self.parked.append):
                self._replay(self._drivers.get(driver), captures)

    def state(self) -> list[dict[str, object]]:
        """Return every link as `status` shows it."""
        return [{"name": link.name, **link.state()} for link in self.links]

    def _serial(self, item: SerialSettings, table: Mapping[str, Any]) -> None:
        from gateway.links.serial_open import PortSettings  # noqa: PLC0415 - imports pyserial
        from gateway.links.serial_port import SerialLink  # noqa: PLC0415

        driver = self._drivers.get(item.driver)
        if driver.link is not LinkKind.SERIAL:
            raise ConfigError(
                f"driver {driver.name!r} of serial link {item.name!r} does not listen on serial ports",
                code="GW-1809",
                hint="`gateway drivers` shows the link of each driver",
            )
        port = PortSettings(
            item.name,
            item.port,
            item.baud or driver.default_baud,
            item.bytesize,
            item.parity,
            item.stopbits,
        )
        self._host(SerialLink(port, self._clock), driver, table)

    def _ble(self, item: BleSettings, tables: Mapping[str, Mapping[str, Any]]) -> None:
        from gateway.links.ble_adverts import BleScanner, ScannerSettings  # noqa: PLC0415

        settings = ScannerSettings(
            adapter=item.adapter,
            mode="passive" if item.mode == "passive" else "active",
            silence_s=item.watchdog_s,
        )
        scanner = BleScanner(settings, self._clock)
        self._adverts(scanner, list(self._advert_drivers()), tables)

    def _advert_drivers(self) -> Iterator[Driver]:
        for found in self._drivers.all():
            if found.driver is not None and found.driver.link is LinkKind.BLE_ADVERT:
                yield found.driver

    def _adverts(
        self,
        link: Link,
        drivers: list[Driver],
        tables: Mapping[str, Mapping[str, Any]],
        *,
        is_demo: bool = False,
    ) -> None:
        lanes = []
        for driver in drivers:
            with parking(f"driver {driver.name}", self.parked.append):
                table = tables.get(driver.name, {})
                lanes.append(AdvertLane(link, driver, table, intake=self._intake, is_demo=is_demo))
        for lane in lanes:
            self._dispatcher.attach(lane)
        self.links.append(link)
        self.services += [*lanes, AdvertHost(link, lanes, self._intake)]

    def _host(
        self, link: Link, driver: Driver, table: Mapping[str, Any], *, is_demo: bool = False
    ) -> None:
        host = DriverHost(
            link, driver, table, intake=self._intake, clock=self._clock, is_demo=is_demo
        )
        self._dispatcher.attach(host)
        self.links.append(link)
        self.services.append(host)

    def _replay(self, driver: Driver, captures: list[Capture]) -> None:
        """Play captures; serial ones with different settings are different ports."""
        if driver.link is LinkKind.BLE_ADVERT:
            tables = {driver.name: _merged(captures)}
            settings = ReplaySettings(f"demo-{driver.name}", "ble", driver.replay_period_ms)
            link = Replay([c.item for c in captures], settings, self._clock)
            self._adverts(link, [driver], tables, is_demo=True)
            return
        ports: dict[str, list[Capture]] = {}
        for capture in captures:
            ports.setdefault(json.dumps(capture.settings, sort_keys=True), []).append(capture)
        for number, played in enumerate(ports.values(), 1):
            name = f"demo-{driver.name}" + (f"-{number}" if len(ports) > 1 else "")
            settings = ReplaySettings(
                name,
                f"serial:{name}",
                driver.replay_period_ms,
                echo="line-json" if driver.name == "line-json" else "none",
            )
            link = Replay([c.item for c in played], settings, self._clock)
            self._host(link, driver, played[0].settings, is_demo=True)


def _merged(captures: list[Capture]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for capture in captures:
        for key, value in capture.settings.items():
            if isinstance(value, dict):
                merged.setdefault(key, {}).update(value)
            else:
                merged[key] = value
    return merged
