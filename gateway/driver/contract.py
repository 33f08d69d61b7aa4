"""What a driver is: a pure codec, its settings, and the kind of link it listens on. Contract version 1."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult
from gateway.model.reading import Event, HardwareId, Reading

CONTRACT = 1

In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")


class LinkKind(StrEnum):
    """Which kind of link feeds a driver, and so what its codec is fed with."""

    SERIAL = "serial"  # In = bytes, Out = bytes
    BLE_ADVERT = "ble_advert"  # In = Advert, Out = nothing
    BLE_GATT = "ble_gatt"
    MQTT_TOPIC = "mqtt_topic"


@dataclass(frozen=True, slots=True)
class Advert:
    """One BLE advertisement, holding only the keys that this advert brought (BlueZ accumulates them)."""

    address: str  # upper-case AA:BB:CC:DD:EE:FF
    rssi_dbm: int
    service_data: Mapping[str, bytes]  # 128-bit uuid text, lower case
    manufacturer_data: Mapping[int, bytes]  # Bluetooth SIG company id
    name: str = ""


@dataclass(frozen=True, slots=True)
class Request(Generic[Out]):
    """Something to write to the link, and how long its turn lasts.

    With `command_id` set the host waits for a CommandResult of that id until `timeout_ms`; without
    `expects_answer` the host itself answers `done` once the bytes are written.
    """

    data: Out
    timeout_ms: int = 1000
    gap_ms: int = 0  # silence on the line before writing
    command_id: str | None = None
    expects_answer: bool = False


class Codec(Protocol[In_contra, Out]):
    """The pure part of a driver: no clock, no I/O, no asyncio, no logging; garbage never raises."""

    def feed(self, item: In_contra, at: Stamp) -> Sequence[Reading | Event | CommandResult]:
        """Take what the link heard at `at`; return what it means, oldest first."""
        ...

    def poll(self) -> Request[Out] | None:
        """Return the next question, or None for a device that just talks."""
        ...

    def encode(self, command: Command) -> Request[Out]:
        """Return what to write for a command; raises UnsupportedCommandError (code GW-1701)."""
        ...


@runtime_checkable
class Addressed(Protocol[Out]):
    """A codec with several devices behind one link: the host calls this instead of `encode`."""

    def encode_to(self, hardware_id: HardwareId, command: Command) -> Request[Out]:
        """Return what to write for a command to one of the codec's devices; raises as `encode` does."""
        ...


@runtime_checkable
class Counted(Protocol):
    """A codec that counts what it took: good, garbled ... since it was opened."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Return the counters as they are now."""
        ...


def counters_of(codec: Codec[Any, Any]) -> Mapping[str, int]:
    """Return a codec's counters, none when it does not count; what most drivers give as `Driver.counters`."""
    return codec.counters if isinstance(codec, Counted) else {}


@dataclass(frozen=True, slots=True)
class Match:
    """Which adverts a BLE driver wants: one of these keys must be in the advert, else it is never asked."""

    service_uuids: frozenset[str] = frozenset()  # 128-bit text, lower case
    company_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Driver:
    """One row of the driver table; `open(settings, origin)` makes a fresh codec.

    `origin` is the physical identity of the link (`serial:usb-FTDI_FT232R_A1B2`, `ble`), and the stem of the
    hardware ids that a serial codec gives to its devices.
    """

    name: str
    link: LinkKind
    settings: type[BaseModel]
    open: Callable[[Any, str], Codec[Any, Any]]
    contract: int = CONTRACT
    summary: str = ""  # one line for `gateway drivers`
    match: Match = field(default_factory=Match)
    default_baud: int = 9600
    replay_period_ms: int = (
        2000  # the device's documented period: how fast its captures are played back
    )
    counters: Callable[[Codec[Any, Any]], Mapping[str, int]] | None = (
        None  # good, garbled ... for `status`
    )
