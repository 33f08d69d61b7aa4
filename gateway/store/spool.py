"""The spool: what must go up, as an append-only log of sealed blocks; one log a start, numbers from 1.

What was not written yet lives in `SpoolMemory`; what was is read from disk again when it is offered.  A block
that the parent takes before its commit is due is never written: online, the card rests.  A record's settle
number is its number in this start's log.
"""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gateway.errors import StoreError, StoreFullError
from gateway.model import Anchor, Clock, DeviceUuid, Message, RangeSet, Receipt, Refusal
from gateway.model.block import Block, Record
from gateway.model.log_ports import LogState, Usage
from gateway.store import anchors as anchor_rows
from gateway.store import dead_letters, spool_damage
from gateway.store import spool_rows as rows
from gateway.store.committer import Committer
from gateway.store.dead_letters import DeadLetter
from gateway.store.spool_disk import SpoolDisk
from gateway.store.spool_memory import SpoolMemory

SLACK_S = 0.005  # timers fire a little early: what is due within this is due


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """When things happen and how much there may be."""

    loss_window_s: float = 2.0  # what nobody waits for is on disk after this
    ack_delay_s: float = 0.1  # what somebody waits for
    offer_interval_s: float = 0.25  # a block is offered so long after its first record
    most_bytes: int = 512 << 20


class SqliteSpool:
    """Matches `model.log_ports.Spool` over log.db."""

    def __init__(
        self,
        committer: Committer,
        *,
        clock: Clock,
        node: DeviceUuid,
        limits: SpoolLimits | None = None,
    ) -> None:
        """Take part in the commits of an opened `committer`; call `open` before anything else."""
        self.node = node
        self.store_id = ""
        self.log = secrets.token_hex(16)
        self._committer = committer
        self._clock = clock
        self._limits = limits if limits is not None else SpoolLimits()
        self._memory = SpoolMemory(self.log)
        self._disk = SpoolDisk(committer, self.log, self._departed)
        self._anchors: list[Anchor] = []
        self._offer: asyncio.TimerHandle | None = None
        self._on_sealed: list[Callable[[], None]] = []
        self._on_settled: list[Callable[[int], None]] = []
        self._told = 0
        self._is_closed = False
        self._taken = 0  # out of memory, since start
        committer.on_commit(self._prepare, self._after)

    async def open(self) -> None:
        """Begin this start's log; its row is on disk when this returns."""
        started_ms = self._clock.wall_ms()
        found = await self._committer.transaction(lambda c: rows.begin(c, self.log, started_ms))
        self.store_id = found.store_id
        self._disk.begin(found)

    async def close(self) -> None:
        """Commit what is left and mark the log as ended, with the last number of each device."""
        if self._is_closed:
            return
        self.seal()
        self._is_closed = True
        self._committer.everything_within(0.0)
        last = self._memory.next - 1
        numbers = {str(device): n for device, n in self._memory.device_numbers.items()}
        position = self._disk.own.position
        await asyncio.shield(
            self._committer.transaction(lambda c: rows.end(c, position, last, numbers))
        )

    # ---- the way in ----

    def append(self, message: Message, *, waiting: bool = False, origin: str = "") -> int:
        """Put a message into the open block under the next number; returns that number."""
        memory = self._memory
        if self._disk.bytes + memory.bytes >= self._limits.most_bytes:
            raise self._full()
        if not memory.fits(message):
            self._begin(message)
        number = memory.append(message, origin)
        if waiting:
            self._due_within(self._limits.ack_delay_s)
        if memory.is_full():
            self.seal()
        return number

    def seal(self) -> None:
        """Close the open block, so that it can be offered."""
        if self._offer is not None:
            self._offer.cancel()
            self._offer = None
        if self._memory.seal():
            self._tell_sealed()

    def on_sealed(self, callback: Callable[[], None]) -> None:
        """Call back whenever a block was sealed."""
        self._on_sealed.append(callback)

    def on_settled(self, callback: Callable[[int], None]) -> None:
        """Call back with the number below which everything is committed or taken."""
        self._on_settled.append(callback)

    def anchor(self, anchor: Anchor) -> None:
        """Keep an anchor, written with the next commit."""
        self._anchors.append(anchor)
        self._committer.within(self._limits.loss_window_s)

    # ---- the way up ----

    async def pending(
        self,
        *,
        but: Collection[tuple[str, int]] = (),
        most_bytes: int = 1 << 20,
        after: int | None = None,
    ) -> Sequence[Block]:
        """Return unsettled sealed blocks: this log's first, then history, oldest first."""
        above = after if after is not None else 0
        fresh = [block for block in self._memory.waiting() if block.first > above]
        skip = {*but, *(block.key for block in fresh)}
        found = await self._disk.read_own(skip, most_bytes, above)
        room = most_bytes - sum(len(block.data) for block in found)
        for block in fresh:
            if room > 0 and block.key not in but:
                found.append(block)
                room -= len(block.data)
        if after is None and room > 0:
            found += await self._disk.read_older(skip, room)
        return found

    async def settle(self, receipt: Receipt) -> None:
        """Delete what was taken, move what was refused to the dead letters; returns once that is durable."""
        letters: list[DeadLetter] = []
        if receipt.log == self.log:
            taken, letters = self._memory.settle(receipt)
            self._taken += taken
            self._tell_settled()
        await self._disk.settle(receipt, letters)

    async def logs(self) -> Sequence[LogState]:
        """Return this log and every older one that holds records or was not yet reported as ended."""
        states = await self._committer.read(rows.logs)
        memory = self._memory
        in_memory = memory.first_held()
        firsts = [n for n in (self._disk.own.first, in_memory) if n is not None]
        found = [state for state in states if state.log != self.log]
        [own] = [state for state in states if state.log == self.log]
        return [
            LogState(
                self.log,
                min(firsts, default=memory.next),
                memory.next - 1,
                is_closed=False,
                started_ms=own.started_ms,
            ),
            *found,
        ]

    async def forget_log(self, log: str) -> None:
        """Drop the row of an ended log that holds no records."""
        if log != self.log:
            await asyncio.shield(self._committer.transaction(lambda c: rows.forget_log(c, log)))

    async def anchors(self, boot_ids: Collection[str]) -> Sequence[Anchor]:
        """Return the known wall-clock anchors of these boots, oldest first."""
        unwritten = list(self._anchors)
        wanted = set(boot_ids)
        written = await self._committer.read(
            lambda c: anchor_rows.select(c, anchor_rows.OWN, wanted)
        )
        fresh = [a for a in unwritten if a.boot_id in wanted and a not in written]
        return [*written, *fresh]

    async def voids(self) -> Sequence[tuple[str, RangeSet, str]]:
        """Return (log, numbers, reason) of what was lost here and the parent has not taken note of."""
        return await self._committer.read(spool_damage.voids)

    async def dead_letters(self, limit: int = 100) -> Sequence[tuple[str, int, Refusal, Record]]:
        """Return (log, number, why, record) of refused records, newest first."""
        return await self._committer.read(lambda c: dead_letters.newest(c, limit))

    def usage(self) -> Usage:
        """Return how full the spool is."""
        disk, memory, boot_id = self._disk, self._memory, self._clock.boot_id
        ages = (disk.oldest_uptime_ms(boot_id), memory.oldest_uptime_ms(boot_id))
        return Usage(
            records=disk.records() + memory.records(),
            bytes=disk.bytes + memory.bytes,
            oldest_uptime_ms=min((age for age in ages if age is not None), default=None),
            taken=disk.taken + self._taken,
            refused=disk.refused,
            written_bytes=disk.written_bytes,
            dead_letters=disk.letters,
            corrupt=disk.corrupt,
        )

    # ---- commits ----

    def _prepare(self) -> Callable[[sqlite3.Connection], None] | None:
        due = self._memory.due()
        wait_s = due - asyncio.get_running_loop().time() if due is not None else None
        is_due = wait_s is not None and wait_s <= SLACK_S
        if not (is_due or self._committer.is_everything_due):
            if wait_s is not None:
                self._committer.within(wait_s)
            if not self._anchors:
                return None
            return self._writer([])
        self.seal()
        return self._writer(self._memory.start_writing())

    def _writer(self, blocks: list[rows.Written]) -> Callable[[sqlite3.Connection], None] | None:
        """Return what writes blocks and new anchors, counting them as held."""
        anchors, self._anchors = self._anchors, []
        if not blocks and not anchors:
            return None
        self._disk.write(blocks)
        position, last = self._disk.own.position, self._memory.next - 1

        def write(connection: sqlite3.Connection) -> None:
            if blocks:
                rows.write(connection, position, blocks, last)
            if anchors:
                anchor_rows.insert(connection, anchor_rows.OWN, anchors)

        return write

    def _after(self) -> None:
        self._memory.finish_writing()
        self._tell_settled()

    def _departed(self, receipt: Receipt) -> None:
        if receipt.log == self.log:
            self._memory.bury(list(receipt.refused))
            self._tell_settled()
            self._due_offer()

    # ---- small parts ----

    def _begin(self, message: Message) -> None:
        if self._is_closed:
            raise StoreError(
                "the spool is already closed",
                code="GW-1507",
                hint="the gateway is stopping; nothing was lost that it had acknowledged",
            )
        window_s = self._limits.loss_window_s
        if self._memory.open is not None:
            self.seal()
        self._memory.begin(message, asyncio.get_running_loop().time() + window_s)
        self._committer.within(window_s)
        self._due_offer()

    def _due_within(self, seconds: float) -> None:
        block = self._memory.open
        due = asyncio.get_running_loop().time() + seconds
        if block is not None and due < block.due:
            block.due = due
            self._committer.within(seconds)

    def _due_offer(self) -> None:
        """Seal the open block after the offer interval, unless nobody takes what is offered.

        With blocks of this log on disk the parent is away or slow: larger blocks are then better ones.
        """
        if self._offer is None and self._memory.open is not None and not self._disk.own.blocks:
            loop = asyncio.get_running_loop()
            self._offer = loop.call_later(self._limits.offer_interval_s, self.seal)

    def _tell_sealed(self) -> None:
        for callback in self._on_sealed:
            callback()

    def _tell_settled(self) -> None:
        through = self._memory.settled_through()
        if through > self._told:
            self._told = through
            for callback in self._on_settled:
                callback(through)

    def _full(self) -> StoreFullError:
        return StoreFullError(
            f"the spool holds {self._limits.most_bytes} bytes and takes no more",
            code="GW-1506",
            hint="mend the line to the parent (`gateway status`), or raise the spool's size",
        )
