"""The devices this gateway brought, as the fast path needs them: by hardware id, uuid and slug, with last values."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.model import DeviceUuid, Event, HardwareId, Identity, Quality, Reading, Scalar, Stamp

MOST_VALUES = (
    256  # last values of one device: one that makes up names must not fill memory and topic
)
MOST_UNIT_SHAPES = 64  # sets of quantities that one device sends together; remembered as bytes

encoded = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


@dataclass(frozen=True, slots=True)
class Source:
    """Where readings come from: what a claim needs to know beside the hardware id."""

    driver: str
    link: str
    origin: str = ""
    is_demo: bool = False


class Group:
    """Readings of one device at one moment (they become one message), or one event."""

    __slots__ = ("event", "hardware_id", "observed", "payload", "quality", "units")

    def __init__(
        self, hardware_id: HardwareId, observed: Stamp, quality: Quality, event: str | None = None
    ) -> None:
        self.hardware_id = hardware_id
        self.observed = observed
        self.quality = quality
        self.event = event
        self.payload: dict[str, Scalar] = {}
        self.units: list[str] = []

    def takes(self, reading: Reading) -> bool:
        """Return whether a reading belongs to this message; a quantity seen again begins the next one."""
        return (
            reading.quantity not in self.payload
            and (reading.observed is self.observed or reading.observed == self.observed)
            and reading.quality is self.quality
        )


@dataclass(slots=True, eq=False)
class Device:
    """One device: its identity and what it said last."""

    identity: Identity
    link: str  # heard there last
    is_online: bool = False
    last_heard_ms: int = -1  # uptime
    last_seen_ms: int | None = None  # wall time, epoch ms
    values: dict[str, Scalar] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    _shapes: dict[tuple[tuple[str, ...], tuple[str, ...]], bytes] = field(default_factory=dict)

    def topic(self, name: str) -> str:
        """Return one of the device's plain topics."""
        return f"devices/{self.identity.slug}/{name}"

    def forget_oldest_values(self) -> None:
        """Keep the newest names of quantities only."""
        for name in list(self.values)[: len(self.values) - MOST_VALUES]:
            del self.values[name]
            self.units.pop(name, None)

    def body(self, group: Group) -> bytes:
        """Return a group as the body of a READING message; raises ValueError for what JSON cannot carry."""
        names = tuple(group.payload)
        shape = (names, tuple(group.units))
        units = self._shapes.get(shape)
        if units is None:
            if len(self._shapes) >= MOST_UNIT_SHAPES:
                self._shapes.clear()
            of = dict(zip(names, group.units, strict=True))
            units = self._shapes[shape] = b',"units":' + encoded(of).encode()
            self.units.update(of)
        tail = (
            b"}" if group.quality is Quality.GOOD else b',"quality":"%s"}' % group.quality.encode()
        )
        return b'{"payload":' + encoded(group.payload).encode() + units + tail


class Devices:
    """Every device, three ways; at most one with a hardware id, a uuid, a slug."""

    def __init__(self) -> None:
        self.by_hardware: dict[HardwareId, Device] = {}
        self.by_uuid: dict[DeviceUuid, Device] = {}
        self.by_slug: dict[str, Device] = {}

    def __iter__(self) -> Iterator[Device]:
        return iter(self.by_hardware.values())

    def __len__(self) -> int:
        return len(self.by_hardware)

    def add(self, identity: Identity) -> Device:
        """Take in a device, or return the one with this hardware id that is here already."""
        known = self.by_hardware.get(identity.hardware_id)
        if known is not None:
            return known
        device = Device(identity, identity.link, last_seen_ms=identity.last_seen_ms)
        self.by_hardware[identity.hardware_id] = device
        self.by_uuid[identity.uuid] = device
        self.by_slug[identity.slug] = device
        return device

    def remove(self, device: Device) -> None:
        """Forget a device."""
        del self.by_hardware[device.identity.hardware_id]
        del self.by_uuid[device.identity.uuid]
        del self.by_slug[device.identity.slug]

    def rename(self, device: Device, identity: Identity) -> None:
        """Give a device its new slug."""
        del self.by_slug[device.identity.slug]
        device.identity = identity
        self.by_slug[identity.slug] = device


def grouped(batch: Iterable[Reading | Event]) -> list[Group]:
    """Return a batch as messages-to-be, in the order in which they began.

    Readings of one device with equal stamps are one message; a quantity that comes again begins the next, so
    that of two lines in one chunk nothing is lost.
    """
    groups: list[Group] = []
    open_groups: dict[HardwareId, Group] = {}
    for item in batch:
        hardware_id = item.hardware_id
        if isinstance(item, Event):
            groups.append(Group(hardware_id, item.observed, Quality.GOOD, item.name))
            open_groups.pop(hardware_id, None)
            continue
        group = open_groups.get(hardware_id)
        if group is None or not group.takes(item):
            group = open_groups[hardware_id] = Group(hardware_id, item.observed, item.quality)
            groups.append(group)
        group.payload[item.quantity] = item.value
        group.units.append(item.unit)
    return groups
