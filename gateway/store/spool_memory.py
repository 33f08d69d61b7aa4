"""What a log holds in memory: the open block, and sealed blocks that are not on disk yet.

No clock, no disk, no event loop: `SqliteSpool` decides when, this decides what.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gateway.model import DeviceUuid, Lane, Message, RangeSet, Receipt
from gateway.model.block import (
    MOST_RECORDS,
    SEAL_BYTES,
    Block,
    line,
    seal,
)
from gateway.store import dead_letters
from gateway.store.dead_letters import DeadLetter
from gateway.store.spool_rows import Written, within

MOST_JOINED_BYTES = (
    160 * 1024
)  # raw, of a block of several records: what does not pack must fit a packet all the same
HEAD_BYTES = 512  # more than the fields before a record's body ever take


class OpenBlock:
    """Consecutive records of one lane and boot that are not sealed yet."""

    __slots__ = ("boot_id", "due", "first", "lane", "lines", "size", "uptime_ms")

    def __init__(self, first: int, message: Message, due: float) -> None:
        self.first = first
        self.lane: Lane = message.lane
        self.boot_id = message.created.boot_id
        self.uptime_ms = message.created.uptime_ms
        self.due = due  # loop time by which it must be on disk
        self.lines: list[bytes] = []
        self.size = 0


class Sealed:
    """A sealed block on its way to the parent or to the disk, whichever is first."""

    __slots__ = ("block", "due", "settled", "uptime_ms")

    def __init__(self, block: Block, uptime_ms: int, due: float) -> None:
        self.block = block
        self.uptime_ms = uptime_ms
        self.due = due
        self.settled = RangeSet()


class SpoolMemory:
    """The volatile end of one log."""

    def __init__(self, log: str) -> None:
        self.log = log
        self.next = 1
        self.open: OpenBlock | None = None
        self.bytes = 0  # raw ones of the open block, compressed ones of the sealed
        self.device_numbers: dict[DeviceUuid, int] = {}
        self._sealed: dict[int, Sealed] = {}
        self._writing: dict[int, Sealed] = {}
        self._unburied: set[int] = set()  # refused, and their dead letters not on disk yet

    def fits(self, message: Message) -> bool:
        """Return whether a message may join the open block."""
        block = self.open
        return (
            block is not None
            and block.boot_id == message.created.boot_id
            and block.lane is message.lane
            and block.size + len(message.body) <= MOST_JOINED_BYTES - HEAD_BYTES
        )

    def begin(self, message: Message, due: float) -> None:
        """Open a block with the lane and boot of a message, sealing the one that is open."""
        self.seal()
        self.open = OpenBlock(self.next, message, due)

    def append(self, message: Message, origin: str) -> int:
        """Put a message into the open block, which `fits`; returns its number."""
        block = self.open
        assert block is not None
        if b"\n" in message.body:  # in JSON a raw line feed is only ever white space
            message = replace(message, body=message.body.replace(b"\n", b" "))
        count = self.device_numbers.get(message.sender, 0) + 1
        self.device_numbers[message.sender] = count
        text = line(message, count, origin)
        block.lines.append(text)
        block.size += len(text)
        self.bytes += len(text)
        number = self.next
        self.next = number + 1
        return number

    def is_full(self) -> bool:
        """Return whether the open block has reached its size."""
        block = self.open
        return block is not None and (block.size >= SEAL_BYTES or len(block.lines) >= MOST_RECORDS)

    def seal(self) -> bool:
        """Seal the open block; returns whether there was one."""
        opened, self.open = self.open, None
        if opened is None or not opened.lines:
            return False
        block = seal(self.log, opened.first, opened.lane, opened.boot_id, opened.lines)
        self._sealed[block.first] = Sealed(block, opened.uptime_ms, opened.due)
        self.bytes += len(block.data) - opened.size
        return True

    def due(self) -> float | None:
        """Return the loop time by which something here must be on disk."""
        dues = [sealed.due for sealed in self._sealed.values()]
        if self.open is not None:
            dues.append(self.open.due)
        return min(dues, default=None)

    def start_writing(self) -> list[Written]:
        """Hand every sealed block to the commit that begins now."""
        self._writing, self._sealed = self._sealed, {}
        handed = list(self._writing.values())
        self.bytes -= sum(len(sealed.block.data) for sealed in handed)
        return [Written(sealed.block, sealed.uptime_ms, sealed.settled) for sealed in handed]

    def finish_writing(self) -> None:
        """Forget the blocks that are on disk now."""
        self._writing = {}

    def waiting(self) -> list[Block]:
        """Return the sealed blocks that wait for the parent, oldest first."""
        return [sealed.block for sealed in self._all()]

    def records(self) -> int:
        """Return how many records are here alone and not settled."""
        held = sum(
            sealed.block.last - sealed.block.first + 1 - len(sealed.settled)
            for sealed in self._sealed.values()
        )
        return held + (len(self.open.lines) if self.open is not None else 0)

    def first_held(self) -> int | None:
        """Return the lowest number of a block that is here."""
        for sealed in self._all():
            return sealed.block.first
        return self.open.first if self.open is not None and self.open.lines else None

    def oldest_uptime_ms(self, boot_id: str) -> int | None:
        """Return the time of the oldest record of this boot that is here."""
        for sealed in self._all():
            if sealed.block.boot_id == boot_id:
                return sealed.uptime_ms
        opened = self.open
        return opened.uptime_ms if opened is not None and opened.boot_id == boot_id else None

    def settle(self, receipt: Receipt) -> tuple[int, list[DeadLetter]]:
        """Take out what a receipt settles; returns how many were taken, and the refused ones to keep.

        Of blocks that are being written only the settlement is noted: the disk has its own.
        """
        taken = 0
        letters: list[DeadLetter] = []
        for held in (self._writing, self._sealed):
            for first, sealed in list(held.items()):
                last = sealed.block.last
                refused = {
                    n: why
                    for n, why in receipt.refused.items()
                    if first <= n <= last and n not in sealed.settled
                }
                now = sealed.settled.union(within(receipt.taken, first, last))
                now = now.union(RangeSet.of((n, n) for n in refused))
                if held is self._sealed:
                    taken += len(now) - len(sealed.settled) - len(refused)
                    if refused:
                        letters += dead_letters.of_block(sealed.block, refused)
                self._unburied.update(refused)
                sealed.settled = now
                if now.covers(first, last):
                    del held[first]
                    if held is self._sealed:
                        self.bytes -= len(sealed.block.data)
        return taken, letters

    def bury(self, numbers: Sequence[int]) -> None:
        """Note that the dead letters of these numbers are on disk."""
        self._unburied.difference_update(numbers)

    def settled_through(self) -> int:
        """Return the highest number below and at which everything is committed or taken."""
        first = self.next
        for sealed in self._all():
            first = sealed.block.first
            gaps = sealed.settled.missing(first, sealed.block.last).spans
            first = gaps[0][0]
            break
        else:
            if self.open is not None and self.open.lines:
                first = self.open.first
        return min(first, *self._unburied) - 1 if self._unburied else first - 1

    def _all(self) -> Iterator[Sealed]:
        yield from self._writing.values()
        yield from self._sealed.values()
