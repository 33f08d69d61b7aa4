"""What a machine asks of its shell, and the moment that every step is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.model.block import Block, Record
from gateway.model.clock import Anchor
from gateway.model.command import Command, Outcome
from gateway.model.message import Receipt, Refusal
from gateway.model.ranges import RangeSet
from gateway.uplink.protocol.frames import Frame, Hello, Register


@dataclass(frozen=True, slots=True)
class Now:
    """The time of a step: this machine's uptime, and what it believes the Unix time is."""

    uptime_ms: int
    wall_ms: int


# ---- both ----


@dataclass(frozen=True, slots=True)
class Send:
    """Put a frame on the wire now."""

    frame: Frame


@dataclass(frozen=True, slots=True)
class Close:
    """End the session; `reason` is for the log."""

    reason: str
    is_final: bool = False  # a person must act: do not come back by yourself


@dataclass(frozen=True, slots=True)
class Timer:
    """Call `step(Tick())` at this uptime; replaces the timer before."""

    at_ms: int


# ---- child ----


@dataclass(frozen=True, slots=True)
class ReadBlocks:
    """Read `Spool.pending` and answer with `BlocksRead`."""

    session: int
    but: frozenset[tuple[str, int]]
    most_bytes: int
    after: int | None


@dataclass(frozen=True, slots=True)
class Settle:
    """`Spool.settle`, then answer with `Settled`."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class ForgetLog:
    """The parent knows this ended log to be complete."""

    log: str


@dataclass(frozen=True, slots=True)
class GatherDocuments:
    """Collect the documents of brought devices and answer with `DocumentsGathered`."""

    session: int


@dataclass(frozen=True, slots=True)
class Admit:
    """`Inbox.admit`, then answer with `Admitted`; `verdict` is how it ended already, if it did."""

    command: Command
    down_log: str
    number: int
    verdict: Outcome | None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Let a device act on an admitted command."""

    command: Command


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer an admitted command without asking the device."""

    command: Command
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class KeepAnchor:
    """Keep what this boot's uptime is on the wall."""

    anchor: Anchor


# ---- parent: what is done for a session is done in this order ----


@dataclass(frozen=True, slots=True)
class Open:
    """Draw a fence, account for what is gone, read what is known; answer with `Opened`."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Apply:
    """Create or update device documents; answer with `Applied`."""

    register: Register


@dataclass(frozen=True, slots=True)
class Take:
    """`Ranges.take`; answer with `Took` once it is on disk."""

    fence: int
    block: Block
    records: Sequence[Record]
    refused: Mapping[int, Refusal]


@dataclass(frozen=True, slots=True)
class Deliver:
    """Route what was taken now."""

    block: Block
    records: Sequence[Record]
    is_late: bool


@dataclass(frozen=True, slots=True)
class Forgo:
    """`Ranges.void`; answer with `Counted`."""

    fence: int
    log: str
    numbers: RangeSet
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """`Ranges.ended`; answer with `Counted`."""

    log: str
    last: int
    device_numbers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Confirm:
    """`Ranges.confirm`: the child has made dead letters of these."""

    log: str
    numbers: RangeSet


@dataclass(frozen=True, slots=True)
class SettleDown:
    """`DownLog.settle`: the child has these commands."""

    down_log: str
    numbers: RangeSet


@dataclass(frozen=True, slots=True)
class TakeAnchor:
    """`Ranges.anchor`."""

    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Admission:
    """A node asks to join; the shell answers it."""

    name: str


ChildEffect = (
    Send | Close | Timer | ReadBlocks | Settle | ForgetLog | GatherDocuments
    | Admit | Dispatch | Answer | KeepAnchor
)  # fmt: skip
ParentEffect = (
    Send | Close | Timer | Open | Apply | Take | Deliver | Forgo | Finish
    | Confirm | SettleDown | TakeAnchor | Admission
)  # fmt: skip
