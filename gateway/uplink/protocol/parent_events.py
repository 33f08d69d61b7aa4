"""What a shell tells the parent's machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model.log_ports import DownCommand, Intake, Taken
from gateway.model.message import Receipt
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol.effects import Apply, Take


@dataclass(frozen=True, slots=True)
class Received:
    """A frame came in."""

    frame: fr.Frame


@dataclass(frozen=True, slots=True)
class Opened:
    """Answer to Open: the fence is durable, what is gone was accounted for."""

    fence: int
    known: Mapping[str, Taken]
    registers: str = ""
    commands: Sequence[DownCommand] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """Answer to Apply: these devices were refused."""

    request: Apply
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Took:
    """Answer to Take; without an intake: "stale" (fence), "store" (the disk) or "fault" (ours)."""

    request: Take
    intake: Intake | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """Answer to Forgo and Finish: durable; `is_end` tells which."""

    log: str
    receipt: Receipt | None
    is_end: bool = False


@dataclass(frozen=True, slots=True)
class CommandKept:
    """A command for this child is in the down log."""

    command: DownCommand


@dataclass(frozen=True, slots=True)
class Tick:
    """The timer went off."""


ParentEvent = Received | Opened | Applied | Took | Counted | CommandKept | Tick
