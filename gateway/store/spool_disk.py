"""What the spool holds on disk, counted in memory: which logs, how much, and how it leaves.

`SqliteSpool` says what leaves and when something is offered; this keeps the counts true to the rows.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from gateway.model import Receipt
from gateway.model.block import Block
from gateway.store import dead_letters, spool_damage
from gateway.store import spool_rows as rows
from gateway.store.committer import Committer
from gateway.store.dead_letters import DeadLetter

log = logging.getLogger(__name__)

SETTLE_LINGER_S = 0.1  # deletions wait so long for company; a repeated receipt does no harm
BACKLOG_BLOCKS = 4  # more than these on disk is a backlog: its deletions do not linger


class SpoolDisk:
    """The blocks of this log and of older ones on disk."""

    def __init__(
        self, committer: Committer, name: str, on_departed: Callable[[Receipt], None]
    ) -> None:
        """Count for log `name`; `on_departed(receipt)` follows each receipt whose effects are durable."""
        self.own = rows.Held(0)  # of this log
        self.bytes = 0
        self.taken = 0  # since start
        self.refused = 0
        self.letters = 0
        self.corrupt = 0
        self.written_bytes = 0
        self._name = name
        self._older: dict[str, rows.Held] = {}  # logs with blocks on disk, oldest first
        self._committer = committer
        self._on_departed = on_departed
        self._settling: dict[str, asyncio.Future[rows.Departed]] = {}

    def begin(self, found: rows.Found) -> None:
        """Count what a start found."""
        self.letters = self.refused = found.letters
        self.own = found.logs.pop(self._name)
        self._older = {name: held for name, held in found.logs.items() if held.blocks}
        self._count()

    def records(self) -> int:
        """Return how many records on disk are not settled."""
        return self.own.records + sum(held.records for held in self._older.values())

    def oldest_uptime_ms(self, boot_id: str) -> int | None:
        """Return the time of the oldest record of a boot (exact to its block)."""
        held = (self.own, *self._older.values())
        ages = [h.uptime_ms for h in held if h.blocks and h.boot_id == boot_id]
        return min(ages, default=None)

    def write(self, blocks: list[rows.Written]) -> None:
        """Count blocks that the group which begins now will hold."""
        own = self.own
        if blocks and not own.blocks:
            first = blocks[0]
            own.first, own.uptime_ms = first.block.first, first.uptime_ms
            own.boot_id = first.block.boot_id
        for written in blocks:
            block = written.block
            own.blocks += 1
            own.records += block.last - block.first + 1 - len(written.settled)
            own.bytes += len(block.data)
            self.written_bytes += len(block.data)
        self._count()

    async def read_own(self, but: set[tuple[str, int]], most_bytes: int, above: int) -> list[Block]:
        """Return blocks of this log on disk, oldest first."""
        if not self.own.blocks:
            return []
        return await self._read([(self.own.position, self._name)], but, most_bytes, above)

    async def read_older(self, but: set[tuple[str, int]], most_bytes: int) -> list[Block]:
        """Return blocks of older logs, oldest first."""
        logs = [(held.position, name) for name, held in self._older.items()]
        return await self._read(logs, but, most_bytes, 0) if logs else []

    async def settle(self, receipt: Receipt, letters: list[DeadLetter]) -> None:
        """Let a receipt have its effects on disk, if it has any; returns once they are durable."""
        held = self.own if receipt.log == self._name else self._older.get(receipt.log)
        if letters or (held is not None and _reaches(receipt, held)):
            self._depart(receipt, letters, held or self.own)
        future = self._settling.get(receipt.log)  # also of the same receipt, come before
        if future is not None:
            await asyncio.shield(future)

    def _depart(self, receipt: Receipt, letters: list[DeadLetter], held: rows.Held) -> None:
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
        self.taken += gone.records - gone.refused
        self.refused += gone.refused
        self._hold(receipt.log, gone)
        self._on_departed(receipt)

    def _hold(self, name: str, gone: rows.Departed) -> None:
        """Count what a log holds after something left it."""
        self.letters = gone.letters
        assert gone.held is not None
        if name == self._name:
            self.own = gone.held
        elif gone.held.blocks:
            self._older[name] = gone.held
        else:
            self._older.pop(name, None)
        self._count()

    def _count(self) -> None:
        self.bytes = self.own.bytes + sum(held.bytes for held in self._older.values())

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
        log.error(
            "damaged blocks set aside",
            extra={"code": "GW-1502", "log": name, "blocks": len(keys), "first": keys[0][1]},
        )

        def done(future: "asyncio.Future[rows.Departed]") -> None:
            if not future.cancelled() and future.exception() is None:
                self.corrupt += future.result().blocks
                self._hold(name, future.result())

        future = self._committer.transaction(lambda c: spool_damage.set_aside(c, position, keys))
        future.add_done_callback(done)


def _reaches(receipt: Receipt, held: rows.Held) -> bool:
    """Return whether a receipt speaks of numbers that may be on disk."""
    if held.first is None:
        return False
    newest = receipt.taken.spans[-1][1] if receipt.taken else 0
    return max(newest, *receipt.refused, 0) >= held.first
