"""What routing and the sync protocol need from `log.db`; stores match these structurally (tests/contract).

Synchronous calls touch memory only; what they change is written by the store's next group commit.  A call
that is awaited returns when its effect is on disk.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.model.block import Block, Record
from gateway.model.clock import Anchor
from gateway.model.command import Command, CommandResult
from gateway.model.device import DeviceUuid
from gateway.model.message import Message, Receipt, Refusal
from gateway.model.ranges import RangeSet


@dataclass(frozen=True, slots=True)
class LogState:
    """One log as HELLO names it: numbers below `first_held` are gone from here, `last` is the newest."""

    log: str
    first_held: int
    last: int
    is_closed: bool  # its END is known: nothing after `last` ever existed
    started_ms: int  # wall time of its start, epoch ms, as the machine believed it
    device_numbers: Mapping[str, int] = field(default_factory=dict)  # last ones, of a closed log


@dataclass(frozen=True, slots=True)
class Usage:
    """How full the spool is."""

    records: int
    bytes: int  # compressed, in memory and on disk
    oldest_uptime_ms: int | None  # of the oldest unsettled record of this boot
    taken: int  # settled as taken since start
    refused: int  # dead letters, all
    written_bytes: int  # handed to SQLite since start
    dead_letters: int
    corrupt: int = 0  # damaged blocks set aside since start


class Spool(Protocol):
    """The durable queue towards the parent: an append-only log of sealed blocks (one log per start)."""

    store_id: str  # 32 hex digits, random per life of log.db
    log: str  # 32 hex digits, this start's; committed before `open` returned

    def append(self, message: Message, *, waiting: bool = False, origin: str = "") -> int:
        """Put a message into the open block under the next number; returns its settle number (1, 2, 3 ...).

        The commit is due after the loss window, or after `ack_delay` when somebody is `waiting` for it.
        Raises StoreFullError at the byte cap.
        """
        ...

    def seal(self) -> None:
        """Close the open block, so that it can be offered."""
        ...

    def on_sealed(self, callback: Callable[[], None]) -> None:
        """Call back whenever a sealed block became available (by size, `offer_interval`, commit or seal())."""
        ...

    def on_settled(self, callback: Callable[[int], None]) -> None:
        """Call back with the highest settle number below which everything is committed or taken."""
        ...

    async def pending(
        self,
        *,
        but: Collection[tuple[str, int]] = (),
        most_bytes: int = 1 << 20,
        after: int | None = None,
    ) -> Sequence[Block]:
        """Return unsettled sealed blocks whose keys are not in `but`: this log's first, then history, oldest first.

        With `after`: only blocks of this log that start above that number, so that live ones need not wait
        behind a backlog.
        """
        ...

    async def settle(self, receipt: Receipt) -> None:
        """Delete what was taken, move what was refused to the dead letters; returns once that is durable.

        Blocks that were never written vanish from memory at once and are never written.
        """
        ...

    async def logs(self) -> Sequence[LogState]:
        """Return this log and every older one that still holds records or was not yet reported ended."""
        ...

    async def forget_log(self, log: str) -> None:
        """Drop the row of an ended log that the parent knows to be complete."""
        ...

    async def anchors(self, boot_ids: Collection[str]) -> Sequence[Anchor]:
        """Return the known wall-clock anchors of these boots, oldest first."""
        ...

    def anchor(self, anchor: Anchor) -> None:
        """Keep an anchor (written with the next commit)."""
        ...

    def usage(self) -> Usage:
        """Return how full the spool is; cheap."""
        ...

    async def dead_letters(self, limit: int = 100) -> Sequence[tuple[str, int, Refusal, Record]]:
        """Return (log, number, why, record) of refused records, newest first."""
        ...


class Inbox(Protocol):
    """Commands taken from the parent, so that none is written to a link twice."""

    async def admit(self, command: Command, *, down_log: str, number: int) -> bool:
        """Commit a command before it is acknowledged; False if its id was seen before (then do nothing)."""
        ...

    def finish(self, result: CommandResult) -> None:
        """Note the end of a command in the same commit that writes the open block (append its answer first)."""
        ...

    async def unfinished(self) -> Sequence[Command]:
        """Return commands admitted before this start and never finished: answer them `unknown`, do not repeat."""
        ...

    async def taken(self) -> Mapping[str, RangeSet]:
        """Return, per down log, the numbers admitted."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What a parent knows of one log of one child."""

    ranges: RangeSet
    unconfirmed: Mapping[int, Refusal] = field(
        default_factory=dict
    )  # refusals not yet seen by the child
    lost: Mapping[str, RangeSet] = field(default_factory=dict)  # reason -> numbers


@dataclass(frozen=True, slots=True)
class Intake:
    """What came of offering a block: `new` are the records taken now, in order, effects already durable."""

    new: Sequence[Record]
    receipt: Receipt


Judge = Callable[[Sequence[Record]], Mapping[int, Refusal]]
"""Pure: which records of a block are refused, by number."""


class Ranges(Protocol):
    """The parent's side of every child's logs: what was taken in, refused, lost."""

    async def fence(self, node: DeviceUuid, store_id: str) -> int:
        """Draw the next fence of a child, durably; sessions with an older one are refused by `take`."""
        ...

    async def of(self, node: DeviceUuid) -> Mapping[str, Taken]:
        """Return every known log of a child."""
        ...

    async def take(
        self, node: DeviceUuid, fence: int, block: Block, records: Sequence[Record], judge: Judge
    ) -> Intake:
        """Take a block in ONE transaction: range, refusals, history of the records not refused.

        A block that is already in the range changes nothing and gets its receipt (with refusals) again.
        Raises ForbiddenError (GW-1602) when `fence` is not the newest.
        """
        ...

    async def void(
        self, node: DeviceUuid, fence: int, log: str, numbers: RangeSet, reason: str
    ) -> Receipt:
        """Count numbers as lost for a reason, unless they were taken; they are then in the range."""
        ...

    async def confirm(self, node: DeviceUuid, log: str, numbers: Collection[int]) -> None:
        """Forget refusals that the child has made dead letters of."""
        ...

    async def ended(
        self, node: DeviceUuid, log: str, last: int, device_numbers: Mapping[str, int]
    ) -> None:
        """Note the clean end of a log."""
        ...

    async def anchor(self, node: DeviceUuid, anchor: Anchor) -> None:
        """Keep a child's anchor."""
        ...

    async def anchors(self, node: DeviceUuid) -> Sequence[Anchor]:
        """Return a child's anchors."""
        ...


@dataclass(frozen=True, slots=True)
class DownCommand:
    """A command waiting for a child; `deadline_wall_ms` is in this parent's clock (epoch ms)."""

    down_log: str
    number: int
    command: Command
    deadline_wall_ms: int


class DownLog(Protocol):
    """Commands on their way to children, numbered per child and store."""

    async def append(
        self, node: DeviceUuid, command: Command, deadline_wall_ms: int
    ) -> DownCommand:
        """Keep a command for a child, durably."""
        ...

    async def pending(self, node: DeviceUuid) -> Sequence[DownCommand]:
        """Return what a child has not taken yet and has not expired, in order."""
        ...

    async def settle(self, node: DeviceUuid, down_log: str, numbers: RangeSet) -> None:
        """Drop what the child has taken."""
        ...


class Children(Protocol):
    """Gateways accepted as children, and whose devices are whose (state.db)."""

    async def all(self) -> Mapping[DeviceUuid, DeviceUuid | None]:
        """Return child uuid -> owner."""
        ...

    async def accept(self, node: DeviceUuid, owner: DeviceUuid | None) -> None:
        """Accept a gateway as a child."""
        ...

    async def remove(self, node: DeviceUuid) -> None:
        """Forget a child; its devices stay."""
        ...

    async def brought(self) -> Mapping[DeviceUuid, DeviceUuid]:
        """Return device uuid -> child that speaks for it."""
        ...

    async def bring(self, node: DeviceUuid, device: DeviceUuid) -> DeviceUuid:
        """Note that a child speaks for a device unless another does; returns who speaks for it now."""
        ...

    async def invite(self, code_hash: bytes, owner: DeviceUuid | None, expires_ms: int) -> None:
        """Keep a one-time invitation by the hash of its code."""
        ...

    async def redeem(
        self, code_hash: bytes, node: DeviceUuid, now_ms: int
    ) -> tuple[bool, DeviceUuid | None]:
        """Use an invitation up for `node` (again by the same node within its time); (False, None) if there is none."""
        ...
