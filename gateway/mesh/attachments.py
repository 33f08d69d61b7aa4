"""Who listens live to what: sessions by device and channel, the mesh's own table (never the topic trie)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.model.device import DeviceUuid

LATE = "late:"  # before a channel's type: history that came after an outage, for those who asked for it


@dataclass(frozen=True, slots=True)
class Frame:
    """What a session is told: of `emitter` (which names the topic), `message` or `config`, as JSON text."""

    emitter: DeviceUuid
    kind: str
    content: bytes
    qos: int


class Outlet(Protocol):
    """One live session of any face; hashable by identity."""

    uuid: DeviceUuid

    def deliver(self, frame: Frame) -> None:
        """Send a frame at once, or drop and count it; never waits."""
        ...


class Attachments:
    """Sessions by (device, channel); both ways, so that a session leaves in one step."""

    def __init__(self) -> None:
        self._listeners: dict[DeviceUuid, dict[str, dict[Outlet, None]]] = {}
        self._emitters: dict[Outlet, set[DeviceUuid]] = {}

    def __contains__(self, emitter: DeviceUuid) -> bool:
        """Return whether anybody listens to a device; the fast path asks this of every reading."""
        return emitter in self._listeners

    def attach(self, outlet: Outlet, emitter: DeviceUuid, types: Iterable[str]) -> None:
        """Let a session hear these channels of a device, and only these."""
        self.detach(outlet, emitter)
        channels = self._listeners.setdefault(emitter, {})
        for name in types:
            channels.setdefault(name, {})[outlet] = None
        if not channels:
            del self._listeners[emitter]
        else:
            self._emitters.setdefault(outlet, set()).add(emitter)

    def detach(self, outlet: Outlet, emitter: DeviceUuid) -> None:
        """Let a session no longer hear a device."""
        emitters = self._emitters.get(outlet)
        if emitters is None or emitter not in emitters:
            return
        emitters.discard(emitter)
        if not emitters:
            del self._emitters[outlet]
        channels = self._listeners[emitter]
        for name in list(channels):
            channels[name].pop(outlet, None)
            if not channels[name]:
                del channels[name]
        if not channels:
            del self._listeners[emitter]

    def drop(self, outlet: Outlet) -> None:
        """Forget a session that ended."""
        for emitter in list(self._emitters.get(outlet, ())):
            self.detach(outlet, emitter)

    def listeners(self, emitter: DeviceUuid, type_: str) -> Iterable[Outlet]:
        """Return who hears a channel of a device."""
        return self._listeners.get(emitter, _NO_CHANNELS).get(type_, ())

    def of(self, emitter: DeviceUuid) -> Sequence[Outlet]:
        """Return every session that hears anything of a device, each once."""
        channels = self._listeners.get(emitter, _NO_CHANNELS)
        return list(dict.fromkeys(outlet for heard in channels.values() for outlet in heard))

    def revise(self, emitter: DeviceUuid, allowed: Callable[[DeviceUuid], Sequence[str]]) -> None:
        """Detach others' sessions from the channels that their device may no longer hear."""
        for outlet in self.of(emitter):
            if outlet.uuid == emitter:
                continue
            heard = [name for name, who in self._listeners[emitter].items() if outlet in who]
            permitted = allowed(outlet.uuid)
            kept = [name for name in heard if name.removeprefix(LATE) in permitted]
            if kept != heard:
                self.attach(outlet, emitter, kept)


_NO_CHANNELS: Mapping[str, dict[Outlet, None]] = {}
