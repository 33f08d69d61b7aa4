"""Where one message goes: a pure question, answered with channels and commands that the router then serves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.mesh.core.messaging import Request, addressees, is_looping, requested
from gateway.model.device import AccessRecord, DeviceUuid
from gateway.model.message import Message, MessageKind
from gateway.model.whitelist import may

CHILD_SOURCE = "child:"
PARENT_SOURCE = "parent"


class View(Protocol):
    """What a plan must know of the mesh; every record that `needed` names is in memory when it is asked."""

    def record(self, uuid: DeviceUuid) -> AccessRecord | None:
        """Return the access record of a device, None for one that does not exist here."""
        ...

    def is_brought(self, uuid: DeviceUuid) -> bool:
        """Return whether this node brings the device: it hangs on a link of ours."""
        ...

    def child_of(self, uuid: DeviceUuid) -> DeviceUuid | None:
        """Return the child that brings the device, if one does."""
        ...


@dataclass(frozen=True, slots=True)
class Channel:
    """One of the legacy channels `<type>:<uuid>` (specification 9.2)."""

    type: str
    uuid: DeviceUuid


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a message; channels stand in order of the shortest route."""

    channels: tuple[Channel, ...] = ()
    up: tuple[str, ...] | None = (
        None  # `devices` of the part that goes to the parent; () = unchanged
    )
    commands: tuple[DeviceUuid, ...] = ()  # devices of this node that are asked to act
    down: tuple[tuple[DeviceUuid, DeviceUuid], ...] = ()  # (child, device of it)
    request: Request | None = None
    refused: Mapping[DeviceUuid, str] = field(default_factory=dict)  # why somebody gets nothing


NOTHING = Plan()


def goes_up(sender: DeviceUuid, source: str, view: View) -> bool:
    """Return whether what a device says is reported to the parent: brought by us or by a child of ours."""
    return source != PARENT_SOURCE and (
        view.is_brought(sender) or view.child_of(sender) is not None
    )


def needed(message: Message, content: Mapping[str, Any]) -> Sequence[DeviceUuid]:
    """Return the devices whose records a plan of this message asks for."""
    if message.kind in (MessageKind.MESSAGE, MessageKind.RESULT):
        to = addressees(content)
        return to.devices if to is not None else ()
    return ()


def plan(message: Message, content: Mapping[str, Any], view: View) -> Plan:
    """Return where a message goes; `content` is the Meshblu message that its body means."""
    sender = message.sender
    up = () if goes_up(sender, message.source, view) else None
    match message.kind:
        case MessageKind.READING | MessageKind.EVENT:
            return Plan((Channel("broadcast", sender), Channel("sent", sender)), up)
        case MessageKind.CONFIG:
            return Plan((Channel("config", sender),), up)
        case _:
            return _addressed(message, content, view)


@dataclass(slots=True)
class _Sorting:
    """Receivers of one message, sorted by what each gets."""

    received: list[Channel] = field(default_factory=list)
    up: list[str] = field(default_factory=list)
    commands: list[DeviceUuid] = field(default_factory=list)
    down: list[tuple[DeviceUuid, DeviceUuid]] = field(default_factory=list)
    refused: dict[DeviceUuid, str] = field(default_factory=dict)


def _addressed(message: Message, content: Mapping[str, Any], view: View) -> Plan:
    to = addressees(content)
    if to is None or is_looping(content, message.sender):
        return NOTHING
    request = requested(content) if message.kind is MessageKind.MESSAGE else None
    sorting = _Sorting()
    for uuid in to.devices:
        _sort(message, uuid, request, view, sorting)
    channels = [*sorting.received, Channel("sent", message.sender)]
    is_ours = goes_up(message.sender, message.source, view)
    if to.is_broadcast:
        channels.insert(-1, Channel("broadcast", message.sender))
        if is_ours:
            sorting.up.append("*")
    up: tuple[str, ...] | None = tuple(sorting.up) or None
    if message.kind is MessageKind.RESULT:
        up = () if is_ours else None  # the asker may sit above as well: results always go up whole
    elif message.source == PARENT_SOURCE:
        up = None
    return Plan(
        tuple(channels), up, tuple(sorting.commands), tuple(sorting.down), request, sorting.refused
    )


def _sort(
    message: Message, uuid: DeviceUuid, request: Request | None, view: View, sorting: _Sorting
) -> None:
    record = view.record(uuid)
    if record is None:
        sorting.up.append(uuid)
        return
    if not may(message.sender, record, "message.from"):
        sorting.refused[uuid] = "message.from"
        return
    sorting.received.append(Channel("received", uuid))
    if request is None:
        return
    child = view.child_of(uuid)
    if view.is_brought(uuid):
        sorting.commands.append(uuid)
    elif child is not None and message.source != CHILD_SOURCE + child:
        sorting.down.append((child, uuid))
