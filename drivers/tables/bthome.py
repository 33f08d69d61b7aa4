"""BTHome object ids (bthome.io, "Data format"): one table for version 1 and version 2, and how its rows are read.

Units are SenML's (RFC 8428, RFC 8798) where those have one; `factor` turns what the device sends into that unit and
`digits` is how many decimals that leaves.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from gateway.model.reading import Scalar


class Kind(Enum):
    """How an object's bytes are read."""

    UNSIGNED = auto()
    SIGNED = auto()
    FLOAT = auto()  # version 1 only
    FLAG = auto()  # binary sensor
    BUTTON = auto()
    DIMMER = auto()
    TIME = auto()  # Unix seconds
    TEXT = auto()  # one length byte, then UTF-8 (in version 1 the length stands before the id)
    RAW = auto()  # the same, as hex text


@dataclass(frozen=True, slots=True)
class Object:
    """One row; `size` is the number of data bytes in version 2 (0: a length byte follows)."""

    quantity: str
    unit: str = ""
    size: int = 1
    kind: Kind = Kind.UNSIGNED
    factor: float = 1
    digits: int = 0


def _flag(quantity: str) -> Object:
    return Object(quantity, kind=Kind.FLAG)


S = Kind.SIGNED
POUND_KG = 0.45359237
LITRES_PER_S = 1 / 3.6  # of a cubic metre an hour

OBJECTS: Mapping[int, Object] = {
    0x00: Object("packet_id"),
    0x01: Object("battery", "%EL"),
    0x02: Object("temperature", "Cel", 2, S, 0.01, 2),
    0x03: Object("humidity", "%RH", 2, factor=0.01, digits=2),
    0x04: Object("pressure", "hPa", 3, factor=0.01, digits=2),
    0x05: Object("illuminance", "lx", 3, factor=0.01, digits=2),
    0x06: Object("mass", "kg", 2, factor=0.01, digits=2),
    0x07: Object("mass", "kg", 2, factor=0.01 * POUND_KG, digits=4),
    0x08: Object("dew_point", "Cel", 2, S, 0.01, 2),
    0x09: Object("count", "count"),
    0x0A: Object("energy", "kWh", 3, factor=0.001, digits=3),
    0x0B: Object("power", "W", 3, factor=0.01, digits=2),
    0x0C: Object("voltage", "V", 2, factor=0.001, digits=3),
    0x0D: Object("pm25", "ug/m3", 2),
    0x0E: Object("pm10", "ug/m3", 2),
    0x0F: _flag("generic"),
    0x10: _flag("power"),
    0x11: _flag("opening"),
    0x12: Object("carbon_dioxide", "ppm", 2),
    0x13: Object("volatile_organic_compounds", "ug/m3", 2),
    0x14: Object("moisture", "%", 2, factor=0.01, digits=2),
    0x15: _flag("battery"),
    0x16: _flag("battery_charging"),
    0x17: _flag("carbon_monoxide"),
    0x18: _flag("cold"),
    0x19: _flag("connectivity"),
    0x1A: _flag("door"),
    0x1B: _flag("garage_door"),
    0x1C: _flag("gas"),
    0x1D: _flag("heat"),
    0x1E: _flag("light"),
    0x1F: _flag("lock"),
    0x20: _flag("moisture"),
    0x21: _flag("motion"),
    0x22: _flag("moving"),
    0x23: _flag("occupancy"),
    0x24: _flag("plug"),
    0x25: _flag("presence"),
    0x26: _flag("problem"),
    0x27: _flag("running"),
    0x28: _flag("safety"),
    0x29: _flag("smoke"),
    0x2A: _flag("sound"),
    0x2B: _flag("tamper"),
    0x2C: _flag("vibration"),
    0x2D: _flag("window"),
    0x2E: Object("humidity", "%RH"),
    0x2F: Object("moisture", "%"),
    0x3A: Object("button", kind=Kind.BUTTON),
    0x3C: Object("dimmer", size=2, kind=Kind.DIMMER),
    0x3D: Object("count", "count", 2),
    0x3E: Object("count", "count", 4),
    0x3F: Object("rotation", "deg", 2, S, 0.1, 1),
    0x40: Object("distance", "mm", 2),
    0x41: Object("distance", "m", 2, factor=0.1, digits=1),
    0x42: Object("duration", "s", 3, factor=0.001, digits=3),
    0x43: Object("current", "A", 2, factor=0.001, digits=3),
    0x44: Object("speed", "m/s", 2, factor=0.01, digits=2),
    0x45: Object("temperature", "Cel", 2, S, 0.1, 1),
    0x46: Object("uv_index", factor=0.1, digits=1),
    0x47: Object("volume", "l", 2, factor=0.1, digits=1),
    0x48: Object("volume", "l", 2, factor=0.001, digits=3),
    0x49: Object("volume_flow_rate", "l/s", 2, factor=0.001 * LITRES_PER_S, digits=5),
    0x4A: Object("voltage", "V", 2, factor=0.1, digits=1),
    0x4B: Object("gas", "m3", 3, factor=0.001, digits=3),
    0x4C: Object("gas", "m3", 4, factor=0.001, digits=3),
    0x4D: Object("energy", "kWh", 4, factor=0.001, digits=3),
    0x4E: Object("volume", "l", 4, factor=0.001, digits=3),
    0x4F: Object("water", "l", 4, factor=0.001, digits=3),
    0x50: Object("timestamp", size=4, kind=Kind.TIME),
    0x51: Object("acceleration", "m/s2", 2, factor=0.001, digits=3),
    0x52: Object("gyroscope", "deg/s", 2, factor=0.001, digits=3),  # SenML has no turn rate
    0x53: Object("text", size=0, kind=Kind.TEXT),
    0x54: Object("raw", size=0, kind=Kind.RAW),
    0x55: Object("volume_storage", "l", 4, factor=0.001, digits=3),
    0x56: Object("conductivity", "S/m", 2, factor=0.0001, digits=4),  # sent in uS/cm
    0x57: Object("temperature", "Cel", 1, S),
    0x58: Object("temperature", "Cel", 1, S, 0.35, 2),
    0x59: Object("count", "count", 1, S),
    0x5A: Object("count", "count", 2, S),
    0x5B: Object("count", "count", 4, S),
    0x5C: Object("power", "W", 4, S, 0.01, 2),
    0x5D: Object("current", "A", 2, S, 0.001, 3),
    0x5E: Object("direction", "deg", 2, factor=0.01, digits=2),
    0x5F: Object("precipitation", "mm", 2, factor=0.1, digits=1),
    0x60: Object("channel"),
    0x61: Object("rotational_speed", "1/min", 2),
    0x62: Object("speed", "m/s", 4, S, 0.000001, 6),
    0x63: Object("acceleration", "m/s2", 4, S, 0.000001, 6),
    0x64: Object("light_level"),
    0xF0: Object("device_type", size=2),
    0xF1: Object("firmware", size=4),
    0xF2: Object("firmware", size=3),
}

BUTTON_PRESSES: Mapping[int, str] = {
    0x01: "press",
    0x02: "double_press",
    0x03: "triple_press",
    0x04: "long_press",
    0x05: "long_double_press",
    0x06: "long_triple_press",
    0x80: "hold_press",
}
"""0 means that this button of several was not pressed."""

DIMMER_TURNS: Mapping[int, str] = {0x01: "rotate_left", 0x02: "rotate_right"}


def event_of(kind: Kind, data: bytes) -> str | None:
    """Return what happened at a button or dimmer; None: nothing did."""
    if kind is Kind.BUTTON:
        return BUTTON_PRESSES.get(data[0])
    turn = DIMMER_TURNS.get(data[0])
    return None if turn is None else f"{turn}_{data[1] if len(data) > 1 else 1}"


MOST_NUMBER_BYTES = 7  # more would not survive as a JSON number everywhere
V1_KINDS: Mapping[int, Kind] = {
    0: Kind.UNSIGNED,
    1: Kind.SIGNED,
    2: Kind.FLOAT,
    3: Kind.TEXT,
    4: Kind.RAW,
    5: Kind.TIME,
}


def value_of(row: Object, data: bytes, v1: int | None) -> Scalar | None:
    """Return an object's value; in version 1 the device says itself how its bytes are meant."""
    kind = row.kind if v1 is None else V1_KINDS.get(v1)
    if kind is Kind.RAW:
        return data.hex()
    if kind is Kind.TEXT:
        text = data.decode("utf-8", "replace")
        return text if text.isprintable() else None
    if kind is Kind.FLOAT:
        return _float(row, data)
    if kind is None or len(data) > MOST_NUMBER_BYTES:
        return None
    number = int.from_bytes(data, "little", signed=kind is Kind.SIGNED)
    if row.kind is Kind.FLAG:
        return bool(number)
    if kind is Kind.TIME:
        return _utc(number)
    return round(number * row.factor, row.digits) if row.digits else number


def _float(row: Object, data: bytes) -> float | None:
    code = {2: "<e", 4: "<f", 8: "<d"}.get(len(data))
    if code is None:
        return None
    value = float(struct.unpack(code, data)[0]) * row.factor
    return round(value, max(row.digits, 2)) if math.isfinite(value) else None


def _utc(seconds: int) -> str | None:
    if seconds >= 1 << 32:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
