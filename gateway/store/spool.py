"""The spool: what must go up, as an append-only log of sealed blocks; one log a start, numbers from 1.

What was not written yet lives in `SpoolMemory`; what was is read from disk again when it is offered.  A block
that the parent takes before its commit is due is never written: online, the card rests.  A record's settle
number is its number in this start's log.
"""

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gateway.errors import StoreError, StoreFullError
from gateway.model import Anchor, Clock, DeviceUuid, Message, RangeSet, Receipt, Refusal
from gateway.model.block import Block, Record
from gateway.model.log_ports import LogState, Usage
from gateway.store import anchors as anchor_rows
from gateway.store import dead_letters
from gateway.store import spool_rows as rows
from gateway.store.committer import Committer
from gateway.store.dead_letters import DeadLetter
from gateway.store.spool_memory import SpoolMemory

log = logging.getLogger(__name__)

SLACK_S = 0.005  # timers fire a little early: what is due within this is due
SETTLE_LINGER_S = 0.1  # deletions wait so long for company; a repeated receipt does no harm
BACKLOG_BLOCKS = 4  # more than these on disk is a backlog: its deletions do not linger


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
        self._own = rows.Held(0)  # of this log on disk; also in _held
        self._held: dict[str, rows.Held] = {}  # logs with blocks on disk, oldest first
        self._disk_bytes = 0
        self._settling: dict[str, asyncio.Future[rows.Departed]] = {}
        self._anchors: list[Anchor] = []
        self._offer: asyncio.TimerHandle | None = None
        self._on_sealed: list[Callable[[], None]] = []
        self._on_settled: list[Callable[[int], None]] = []
        self._told = 0
        self._is_closed = False
        self._taken = self._refused = self._letters = self._corrupt = self._written_bytes = 0
        committer.on_commit(self._prepare, self._after)

    async def open(self) -> None:
        """Begin this start's log; its row is on disk when this returns."""
        started_ms = self._clock.wall_ms()
        found = await self._committer.transaction(lambda c: rows.begin(c, self.log, started_ms))
        self.store_id = found.store_id
        self._letters = self._refused = found.letters
        self._own = found.logs.pop(self.log)
        self._held = {name: held for name, held in found.logs.items() if held.blocks}
        self._count_bytes()

    async def close(self) -> None:
        """Commit what is left and mark the log as ended, with the last number of each device."""
        if self._is_closed:
            return
        self.seal()
        self._is_closed = True
        self._committer.everything_within(0.0)
        last = self._memory.next - 1
        numbers = {str(device): n for device, n in self._memory.device_numbers.items()}
        position = self._own.position
        await asyncio.shield(
            self._committer.transaction(lambda c: rows.end(c, position, last, numbers))
        )

    # ---- the way in ----

    def append(self, message: Message, *, waiting: bool = False, origin: str = "") -> int:
        """Put a message into the open block under the next number; returns that number."""
        memory = self._memory
        if self._disk_bytes + memory.bytes >= self._limits.most_bytes:
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
        """Keep an anchor; it is written with the next blocks, which are what it is for."""
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
        found: list[Block] = []
        if self._own.blocks:
            found += await self._read([(self._own.position, self.log)], skip, most_bytes, above)
        room = most_bytes - sum(len(block.data) for block in found)
        for block in fresh:
            if room > 0 and block.key not in but:
                found.append(block)
                room -= len(block.data)
        older = [(held.position, name) for name, held in self._held.items()]
        if after is None and room > 0 and older:
            found += await self._read(older, skip, room, 0)
        return found

    async def settle(self, receipt: Receipt) -> None:
        """Delete what was taken, move what was refused to the dead letters; returns once that is durable."""
        letters: list[DeadLetter] = []
        if receipt.log == self.log:
            taken, letters = self._memory.settle(receipt)
            self._taken += taken
            self._tell_settled()
        held = self._own if receipt.log == self.log else self._held.get(receipt.log)
        if letters or (held is not None and _reaches(receipt, held)):
            self._depart(receipt, letters, held or self._own)
        future = self._settling.get(receipt.log)
        if future is not None:
            await asyncio.shield(future)

    async def logs(self) -> Sequence[LogState]:
        """Return this log and every older one that holds records or was not yet reported as ended."""
        states = await self._committer.read(rows.logs)
        memory = self._memory
        in_memory = memory.first_held()
        firsts = [n for n in (self._own.first, in_memory) if n is not None]
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
        return await self._committer.read(rows.voids)

    async def dead_letters(self, limit: int = 100) -> Sequence[tuple[str, int, Refusal, Record]]:
        """Return (log, number, why, record) of refused records, newest first."""
        return await self._committer.read(lambda c: dead_letters.newest(c, limit))

    def usage(self) -> Usage:
        """Return how full the spool is."""
        boot_id = self._clock.boot_id
        held = [*self._held.values(), self._own]
        ages = [h.uptime_ms for h in held if h.blocks and h.boot_id == boot_id]
        in_memory = self._memory.oldest_uptime_ms(boot_id)
        if in_memory is not None:
            ages.append(in_memory)
        return Usage(
            records=sum(h.records for h in held) + self._memory.records(),
            bytes=self._disk_bytes + self._memory.bytes,
            oldest_uptime_ms=min(ages, default=None),
            taken=self._taken,
            refused=self._refused,
            written_bytes=self._written_bytes,
            dead_letters=self._letters,
            corrupt=self._corrupt,
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
        own, last = self._own, self._memory.next - 1
        position = own.position
        if blocks and not own.blocks:
            first = blocks[0]
            own.first, own.boot_id, own.uptime_ms = (
                first.block.first,
                first.block.boot_id,
                first.uptime_ms,
            )
        for written in blocks:
            block = written.block
            own.blocks += 1
            own.records += block.last - block.first + 1 - len(written.settled)
            own.bytes += len(block.data)
            self._written_bytes += len(block.data)
        self._count_bytes()

        def write(connection: sqlite3.Connection) -> None:
            if blocks:
                rows.write(connection, position, blocks, last)
            if anchors:
                anchor_rows.insert(connection, anchor_rows.OWN, anchors)

        return write

    def _after(self) -> None:
        self._memory.finish_writing()
        self._tell_settled()

    def _depart(self, receipt: Receipt, letters: list[DeadLetter], held: rows.Held) -> None:
        """Let a receipt have its effects on disk with the next commit."""
        position = held.position

        def work(connection: sqlite3.Connection) -> rows.Departed:
            if letters:
                dead_letters.insert(connection, letters)
            gone = rows.depart(connection, position, receipt)
            gone.refused += len(letters)
            gone.records += len(letters)
            return gone

        within_s = 0.0 if held.blocks > BACKLOG_BLOCKS else SETTLE_LINGER_S
        future = self._committer.transaction(work, within_s=within_s)
        self._settling[receipt.log] = future
        future.add_done_callback(lambda done: self._departed(receipt, done))

    def _departed(self, receipt: Receipt, done: "asyncio.Future[rows.Departed]") -> None:
        if self._settling.get(receipt.log) is done:
            del self._settling[receipt.log]
        if done.cancelled() or done.exception() is not None:
            return  # whoever awaits `settle` hears of it, and the committer ends the process
        gone = done.result()
        self._taken += gone.records - gone.refused
        self._refused += gone.refused
        if receipt.log == self.log:
            self._memory.bury(list(receipt.refused))
        self._hold(receipt.log, gone)
        self._tell_settled()

    def _hold(self, name: str, gone: rows.Departed) -> None:
        """Count what a log holds on disk after something left it."""
        self._letters = gone.letters
        assert gone.held is not None
        if name == self.log:
            self._own = gone.held
        elif gone.held.blocks:
            self._held[name] = gone.held
        else:
            self._held.pop(name, None)
        self._count_bytes()
        self._due_offer()

    def _count_bytes(self) -> None:
        self._disk_bytes = self._own.bytes + sum(held.bytes for held in self._held.values())

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
        if self._offer is None and self._memory.open is not None and not self._own.blocks:
            loop = asyncio.get_running_loop()
            self._offer = loop.call_later(self._limits.offer_interval_s, self.seal)

    async def _read(
        self, logs: list[tuple[int, str]], but: set[tuple[str, int]], most_bytes: int, above: int
    ) -> list[Block]:
        found, damaged = await self._committer.read(
            lambda c: rows.pending(c, logs, but, most_bytes, above)
        )
        positions = {name: position for position, name in logs}
        for name in {key[0] for key in damaged}:
            self._set_aside(name, positions[name], [key for key in damaged if key[0] == name])
        return found

    def _set_aside(self, name: str, position: int, keys: list[tuple[str, int]]) -> None:
        self._corrupt += len(keys)
        log.error(
            "damaged blocks set aside",
            extra={"code": "GW-1502", "log": name, "blocks": len(keys), "first": keys[0][1]},
        )

        def done(future: "asyncio.Future[rows.Departed]") -> None:
            if not future.cancelled() and future.exception() is None:
                self._hold(name, future.result())

        future = self._committer.transaction(lambda c: rows.set_aside(c, position, keys))
        future.add_done_callback(done)

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


def _reaches(receipt: Receipt, held: rows.Held) -> bool:
    """Return whether a receipt speaks of numbers that may be on disk."""
    if held.first is None:
        return False
    newest = receipt.taken.spans[-1][1] if receipt.taken else 0
    return max(newest, *receipt.refused, 0) >= held.first
