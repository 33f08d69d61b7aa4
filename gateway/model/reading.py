"""What a device said: readings (a value that lasts until the next one) and events (a moment)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from gateway.model.clock import Stamp

HardwareId = NewType("HardwareId", str)
"""What the wire calls a device: `ble:A4:C1:38:8D:18:B2`, `serial:usb-FTDI_X_A1/greenhouse-1`."""

Scalar = float | int | bool | str


class Quality(StrEnum):
    """How far a reading can be trusted."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    STALE = "stale"
    TIME_ESTIMATED = "time-estimated"


@dataclass(frozen=True, slots=True)
class Reading:
    """One observed value; `unit` by RFC 8428 (SenML): `Cel`, `%RH`, `V`, `` (none)."""

    hardware_id: HardwareId
    quantity: str
    value: Scalar
    unit: str
    observed: Stamp
    quality: Quality = Quality.GOOD


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened once, such as a button press; never retained, never merged."""

    hardware_id: HardwareId
    name: str
    observed: Stamp
