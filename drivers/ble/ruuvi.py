"""RuuviTag and Ruuvi Air: data formats 3, 5 and 6 in manufacturer data 0x0499 (docs.ruuvi.com, "Bluetooth advertisements")."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from pydantic import BaseModel, ConfigDict

from gateway.driver.contract import Advert, Driver, LinkKind, Match, Request, counters_of
from gateway.errors import UnsupportedCommandError
from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult
from gateway.model.reading import Event, HardwareId, Reading

COMPANY_ID = 0x0499
FORMAT_3 = struct.Struct(">BBbBHhhhH")
FORMAT_5 = struct.Struct(">BhHHhhhHB")
FORMAT_6 = struct.Struct(">BhHHHHBBBxxB")
NONE_16, NONE_S16, NONE_8, NONE_9 = 0xFFFF, -0x8000, 0xFF, 0x1FF
STANDARD_GRAVITY_PER_MG = 9.80665 / 1000
LUX_STEP = math.log(65536) / 254  # format 6 sends brightness on a logarithmic scale
NO_VOLTAGE = 0x7FF
VOC_LOW_BIT, NOX_LOW_BIT = 6, 7  # of the flags byte

Value = tuple[str, float | int, str]


class Settings(BaseModel):
    """A Ruuvi device has no keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RuuviCodec:
    """The pure part; keeps nothing between adverts but its counters."""

    def __init__(self, settings: Settings, origin: str) -> None:
        del settings, origin
        self.counters = {"good": 0, "garbled": 0}

    def feed(self, item: Advert, at: Stamp) -> Sequence[Reading | Event | CommandResult]:
        """Return the values of an advert; those that the device marks as missing are left out."""
        data = item.manufacturer_data.get(COMPANY_ID)
        if not data:
            return ()
        size, read = FORMATS.get(data[0], (0, None))
        if read is None or len(data) < size:
            self.counters["garbled"] += 1
            return ()
        self.counters["good"] += 1
        hardware_id = HardwareId(f"ble:{item.address}")
        return [Reading(hardware_id, name, value, unit, at) for name, value, unit in read(data)]

    def poll(self) -> Request[NoReturn] | None:
        """Return None: adverts come by themselves."""
        return None

    def encode(self, command: Command) -> Request[NoReturn]:
        """Refuse: nothing can be sent to an advert."""
        raise UnsupportedCommandError(
            f"a ruuvi sensor takes no commands, so not {command.action[:40]!r}",
            code="GW-1701",
            hint="it only advertises; its settings are made with Ruuvi's app",
        )


def _format_3(data: bytes) -> list[Value]:
    _, humidity, whole, hundredths, pressure, x, y, z, millivolts = FORMAT_3.unpack_from(data)
    # Sign and magnitude, not two's complement: 0x81 0x45 is -1.69.
    magnitude = (whole & 0x7F) + hundredths / 100
    return [
        ("temperature", round(-magnitude if whole < 0 else magnitude, 2), "Cel"),
        ("humidity", humidity / 2, "%RH"),
        ("pressure", (pressure + 50_000) / 100, "hPa"),
        *_acceleration(x, y, z),
        ("voltage", millivolts, "mV"),
    ]


def _format_5(data: bytes) -> list[Value]:
    _, temperature, humidity, pressure, x, y, z, power, movements = FORMAT_5.unpack_from(data)
    values = _climate(temperature, humidity, pressure) + _acceleration(x, y, z)
    if power >> 5 != NO_VOLTAGE:
        values.append(("voltage", (power >> 5) + 1600, "mV"))
    if movements != NONE_8:
        values.append(("movement_counter", movements, "count"))
    return values


def _format_6(data: bytes) -> list[Value]:
    _, temperature, humidity, pressure, pm25, co2, voc, nox, light, flags = FORMAT_6.unpack_from(
        data
    )
    values = _climate(temperature, humidity, pressure)
    if pm25 != NONE_16:
        values.append(("pm25", pm25 / 10, "ug/m3"))
    if co2 != NONE_16:
        values.append(("carbon_dioxide", co2, "ppm"))
    for name, high, bit in (("voc_index", voc, VOC_LOW_BIT), ("nox_index", nox, NOX_LOW_BIT)):
        index = high << 1 | flags >> bit & 1
        if index != NONE_9:
            values.append((name, index, ""))
    if light != NONE_8:
        values.append(("illuminance", round(math.exp(light * LUX_STEP) - 1), "lx"))
    if NONE_16 not in (pm25, co2):
        values.append(("iaqs", _air_quality(co2, pm25 / 10), ""))
    return values


def _climate(temperature: int, humidity: int, pressure: int) -> list[Value]:
    values: list[Value] = []
    if temperature != NONE_S16:
        values.append(("temperature", round(temperature / 200, 2), "Cel"))
    if humidity != NONE_16:
        values.append(("humidity", round(humidity / 400, 2), "%RH"))
    if pressure != NONE_16:
        values.append(("pressure", (pressure + 50_000) / 100, "hPa"))
    return values


def _acceleration(x: int, y: int, z: int) -> list[Value]:
    if NONE_S16 in (x, y, z):
        return []
    axes = {"x": x, "y": y, "z": z, "total": math.hypot(x, y, z)}
    return [
        (f"acceleration_{axis}", round(mg * STANDARD_GRAVITY_PER_MG, 2), "m/s2")
        for axis, mg in axes.items()
    ]


def _air_quality(co2_ppm: float, pm25: float) -> int:
    """Return Ruuvi's indoor air quality score: 100 minus the distance from clean air (docs.ruuvi.com, IAQS)."""
    dust = min(max(pm25, 0), 60) / 60 * 100
    breath = (min(max(co2_ppm, 420), 2300) - 420) / (2300 - 420) * 100
    return round(min(max(100 - math.hypot(dust, breath), 0), 100))


FORMATS: Mapping[int, tuple[int, Callable[[bytes], list[Value]]]] = {
    3: (FORMAT_3.size, _format_3),
    5: (24, _format_5),
    6: (20, _format_6),
}
"""First byte -> shortest data, and what reads it."""

DRIVER = Driver(
    name="ruuvi",
    link=LinkKind.BLE_ADVERT,
    settings=Settings,
    open=RuuviCodec,
    summary="RuuviTag and Ruuvi Air (data formats 3, 5 and 6)",
    match=Match(company_ids=frozenset({COMPANY_ID})),
    replay_period_ms=1300,
    counters=counters_of,
)
