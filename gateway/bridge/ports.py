"""What the bridge calls, and whom it tells: handed in by `app`, so that it knows neither mesh nor broker nor page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from gateway.bridge.devices import Source
from gateway.model import (
    Command,
    CommandResult,
    DeviceUuid,
    HardwareId,
    Identity,
    Message,
    Scalar,
    Stamp,
    Ticket,
)

Route = Callable[[Sequence[Message]], Ticket]
Publish = Callable[[str, bytes, bool], None]
"""topic, payload, retain"""


class Observer(Protocol):
    """Told of everything that is accepted: the page, metrics, the mesh's cache of access records."""

    def known(self, identity: Identity) -> None:
        """Handle a device that was loaded, claimed or renamed; before anything it says is routed."""
        ...

    def reading(
        self, identity: Identity, values: Mapping[str, tuple[Scalar, str]], observed: Stamp
    ) -> None:
        """Handle the newest values (quantity -> value, unit) of one device in one batch."""
        ...

    def event(self, identity: Identity, name: str, observed: Stamp) -> None:
        """Handle a momentary event."""
        ...

    def availability(self, identity: Identity, *, is_online: bool) -> None:
        """Handle a device that came or went."""
        ...

    def forgotten(self, identity: Identity) -> None:
        """Handle a device that is no longer one of ours."""
        ...


May = Callable[[DeviceUuid, DeviceUuid, str], bool]
"""actor, device, whitelist ("message.from") -> whether it may."""

Finish = Callable[[Command, CommandResult], None]
"""Called exactly once for every command that was sent."""


class CommandTaker(Protocol):
    """A host, as the dispatcher sees it."""

    @property
    def source(self) -> Source:
        """Return which driver on which link this is."""
        ...

    def submit(
        self, command: Command, hardware_id: HardwareId, done: Callable[[CommandResult], None]
    ) -> None:
        """Write a command when its turn comes; `done` is called exactly once, now or later."""
        ...
