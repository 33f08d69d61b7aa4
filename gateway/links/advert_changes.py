"""Undo BlueZ's accumulation: of everything it remembers of a device, only what the newest advert brought.

BlueZ keeps one dict of manufacturer data and one of service data a device and signals the whole dict whenever an advert
touches it, so readings of earlier adverts stand beside the new one.  Devices that put a reading into the company id
(Inkbird) would otherwise be decoded from stale keys.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

MOST_ADDRESSES = 2048  # rotating private addresses would grow it for ever; about 0.5 KB each

Key = TypeVar("Key", int, str)


@dataclass(slots=True)
class _Part(Generic[Key]):
    """One of the two dicts: as last signalled, and what of it was new then."""

    whole: Mapping[Key, bytes]
    brought: Mapping[Key, bytes]

    def take(self, whole: Mapping[Key, bytes]) -> bool:
        """Note the dict as signalled now; returns whether it differs from before."""
        before = self.whole
        if whole == before:
            return False
        if any(key not in whole for key in before):
            # BlueZ cleared the dict before it took this advert (DuplicateData): all of it is new.
            self.brought = whole
        else:
            self.brought = {key: data for key, data in whole.items() if before.get(key) != data}
        self.whole = whole
        return True


@dataclass(slots=True)
class _Device:
    manufacturer: _Part[int]
    service: _Part[str]
    delivered_ms: int


class AdvertChanges:
    """What each address said last; equal adverts pass once in `repeat_every_ms`, as a sign of life."""

    __slots__ = ("_devices", "_most", "_repeat_every_ms")

    def __init__(self, repeat_every_ms: int, *, most: int = MOST_ADDRESSES) -> None:
        self._devices: OrderedDict[str, _Device] = OrderedDict()
        self._repeat_every_ms = repeat_every_ms
        self._most = most

    def __len__(self) -> int:
        return len(self._devices)

    def brought(
        self,
        address: str,
        manufacturer: Mapping[int, bytes],
        service: Mapping[str, bytes],
        now_ms: int,
    ) -> tuple[Mapping[int, bytes], Mapping[str, bytes]] | None:
        """Return (manufacturer data, service data) that this advert brought, or None for a repeat too soon.

        A repeat brings what the device brought last: the value still holds.
        """
        device = self._devices.get(address)
        if device is None:
            device = _Device(_Part(manufacturer, manufacturer), _Part(service, service), now_ms)
            self._devices[address] = device
            if len(self._devices) > self._most:
                self._devices.popitem(last=False)
            return manufacturer, service
        self._devices.move_to_end(address)
        has_manufacturer = device.manufacturer.take(manufacturer)
        has_service = device.service.take(service)
        if not (has_manufacturer or has_service):
            if now_ms - device.delivered_ms < self._repeat_every_ms:
                return None
            has_manufacturer = has_service = True
        device.delivered_ms = now_ms
        return (
            device.manufacturer.brought if has_manufacturer else {},
            device.service.brought if has_service else {},
        )
