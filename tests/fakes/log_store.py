"""An honest model of the log ports: what is queued is volatile until `commit()`, and a crash keeps the rest only.

It follows the words of `gateway.model.log_ports` and nothing of SQLite, so it is also a second reading of them.
Each `...Image` is what is on disk; each store object is one process's view of it.
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.errors import ForbiddenError
from gateway.model import (
    Anchor,
    Command,
    CommandResult,
    Lane,
    Message,
    RangeSet,
    Receipt,
    Refusal,
)
from gateway.model.block import Block, Record, line, seal, unpack
from gateway.model.log_ports import DownCommand, Intake, Judge, LogState, Taken

Image = TypeVar("Image")


@dataclass
class ChildImage:
    """log.db of a gateway."""

    store_id: str = "5" * 32
    logs: dict[str, int] = field(default_factory=dict)  # log -> last number written
    started: list[str] = field(default_factory=list)
    blocks: dict[tuple[str, int], Block] = field(default_factory=dict)
    dead: dict[tuple[str, int], tuple[Refusal, Record]] = field(default_factory=dict)
    admitted: dict[str, Command] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    down: dict[str, RangeSet] = field(default_factory=dict)
    anchors: list[Anchor] = field(default_factory=list)


@dataclass
class ParentImage:
    """log.db of a parent: one child is enough here."""

    fence: int = 0
    ranges: dict[str, RangeSet] = field(default_factory=dict)
    refused: dict[str, dict[int, Refusal]] = field(default_factory=dict)
    lost: dict[str, dict[str, RangeSet]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    history: list[tuple[str, Record, bool]] = field(default_factory=list)  # effects, in order
    anchors: list[Anchor] = field(default_factory=list)
    commands: list[DownCommand] = field(default_factory=list)
    down_taken: RangeSet = field(default_factory=RangeSet)


class Disk(Generic[Image]):
    """Changes wait in a queue; `commit` makes them durable together, `crash` forgets them."""

    def __init__(self, image: Image) -> None:
        self.synced = image
        self._queue: list[tuple[Callable[[Image], object], Callable[[object], None]]] = []
        self.prepare: Callable[[], None] = lambda: None

    @property
    def is_dirty(self) -> bool:
        return bool(self._queue)

    def transaction(
        self, work: Callable[[Image], object], done: Callable[[object], None] = lambda _: None
    ) -> None:
        self._queue.append((work, done))

    def commit(self) -> None:
        self.prepare()
        queue, self._queue = self._queue, []
        results = [(done, work(self.synced)) for work, done in queue]
        for done, result in results:
            done(result)

    def crash(self) -> Image:
        self._queue.clear()
        return copy.deepcopy(self.synced)


class ModelSpool:
    """The spool of one process start; `log` must be new at each."""

    def __init__(self, disk: Disk[ChildImage], log: str, boot_id: str, *, first: int = 1) -> None:
        self.disk = disk
        self.log = log
        self.store_id = disk.synced.store_id
        self._boot_id = boot_id
        self._lines: list[bytes] = []
        self._first = self._next = first
        self._live = {b.first: b for b in disk.synced.blocks.values() if b.log == log}
        self._written = set(self._live)
        self._gone: set[tuple[str, int]] = set()  # settled here, on disk until the commit
        disk.synced.logs.setdefault(log, 0)  # committed before `open` returned
        if log not in disk.synced.started:
            disk.synced.started.append(log)
        disk.prepare = self._prepare

    def append(self, message: Message) -> int:
        self._lines.append(line(message, self._next))
        self._next += 1
        return self._next - 1

    def seal(self) -> bool:
        if not self._lines:
            return False
        block = seal(self.log, self._first, Lane.NORMAL, self._boot_id, self._lines)
        self._live[block.first] = block
        self._lines, self._first = [], self._next
        return True

    def _prepare(self) -> None:
        self.seal()
        for block in list(self._live.values()):
            if block.first not in self._written and block.key not in self._gone:
                self._written.add(block.first)
                self.disk.transaction(lambda image, b=block: _write(image, b))

    def pending(
        self, but: Collection[tuple[str, int]], most_bytes: int, after: int | None
    ) -> list[Block]:
        own = sorted(self._live.values(), key=lambda block: block.first)
        old = [block for block in self.disk.synced.blocks.values() if block.log != self.log]
        order = self.disk.synced.started
        old.sort(key=lambda block: (order.index(block.log), block.first))
        wanted = [block for block in own if after is None or block.first > after]
        if after is None:
            wanted += [block for block in old if block.key not in self._gone]
        found: list[Block] = []
        for block in wanted:
            if block.key in but:
                continue
            if found and most_bytes < len(block.data):
                break
            found.append(block)
            most_bytes -= len(block.data)
        return found

    def settle(self, receipt: Receipt, done: Callable[[object], None]) -> None:
        settled = [
            block
            for block in [*self._live.values(), *self.disk.synced.blocks.values()]
            if block.log == receipt.log and receipt.taken.covers(block.first, block.last)
        ]
        self._gone |= {block.key for block in settled}

        def work(image: ChildImage) -> object:
            for block in settled:
                for record in unpack(block):
                    if record.number in receipt.refused:
                        place = (block.log, record.number)
                        image.dead[place] = (receipt.refused[record.number], record)
                image.blocks.pop(block.key, None)
                self._live.pop(block.first, None) if block.log == self.log else None
            return receipt

        self.disk.transaction(work, done)

    def logs(self) -> list[LogState]:
        image = self.disk.synced
        states = []
        for log in image.started:
            if log == self.log:
                first = min([*self._live, self._first])
                states.append(LogState(log, first, self._next - 1, False, 0))
            elif log in image.logs:
                held = [block.first for block in image.blocks.values() if block.log == log]
                last = image.logs[log]
                states.append(LogState(log, min(held, default=last + 1), last, False, 0))
        return states

    def forget_log(self, log: str) -> None:
        self.disk.transaction(lambda image: image.logs.pop(log, None))


def _write(image: ChildImage, block: Block) -> None:
    image.blocks[block.key] = block
    image.logs[block.log] = max(image.logs.get(block.log, 0), block.last)


class ModelInbox:
    """Commands a gateway has admitted."""

    def __init__(self, disk: Disk[ChildImage]) -> None:
        self._disk = disk
        self._stray = [
            command
            for command in disk.synced.admitted.values()
            if command.id not in disk.synced.finished
        ]

    def admit(
        self, command: Command, down_log: str, number: int, done: Callable[[object], None]
    ) -> None:
        def work(image: ChildImage) -> object:
            is_new = command.id not in image.admitted
            image.admitted.setdefault(command.id, command)
            image.down[down_log] = image.down.get(down_log, RangeSet()).add(number, number)
            return is_new

        self._disk.transaction(work, done)

    def finish(self, result: CommandResult) -> None:
        self._disk.transaction(lambda image: image.finished.add(result.command_id))

    def unfinished(self) -> Sequence[Command]:
        return self._stray

    def taken(self) -> Mapping[str, RangeSet]:
        return dict(self._disk.synced.down)


class ModelRanges:
    """The parent's ranges."""

    def __init__(self, disk: Disk[ParentImage]) -> None:
        self._disk = disk

    def fence(self, done: Callable[[object], None]) -> None:
        def work(image: ParentImage) -> object:
            image.fence += 1
            return image.fence

        self._disk.transaction(work, done)

    def of(self) -> dict[str, Taken]:
        image = self._disk.synced
        return {
            log: Taken(ranges, dict(image.refused.get(log, {})), dict(image.lost.get(log, {})))
            for log, ranges in image.ranges.items()
        }

    def take(
        self,
        fence: int,
        block: Block,
        records: Sequence[Record],
        judge: Judge,
        is_late: bool,
        done: Callable[[object], None],
    ) -> None:
        def work(image: ParentImage) -> object:
            if fence != image.fence:
                return ForbiddenError("an old fence", code="GW-1602", hint="")
            have = image.ranges.get(block.log, RangeSet())
            fresh = [record for record in records if record.number not in have]
            refused = dict(judge(fresh)) if fresh else {}
            image.ranges[block.log] = have.add(block.first, block.last)
            image.refused.setdefault(block.log, {}).update(refused)
            new = [record for record in fresh if record.number not in refused]
            image.history.extend((block.log, record, is_late) for record in new)
            known = {
                n: code
                for n, code in image.refused[block.log].items()
                if block.first <= n <= block.last
            }
            return Intake(new, Receipt(block.log, RangeSet(((block.first, block.last),)), known))

        self._disk.transaction(work, done)

    def void(
        self, log: str, numbers: RangeSet, reason: str, done: Callable[[object], None]
    ) -> None:
        def work(image: ParentImage) -> object:
            have = image.ranges.get(log, RangeSet())
            gone = [span for pair in numbers.spans for span in have.missing(*pair).spans]
            lost = image.lost.setdefault(log, {})
            lost[reason] = lost.get(reason, RangeSet()).union(RangeSet.of(gone))
            image.ranges[log] = have.union(numbers)
            return Receipt(log, image.ranges[log])

        self._disk.transaction(work, done)

    def ended(self, log: str, last: int, done: Callable[[object], None]) -> None:
        self._disk.transaction(lambda image: image.ended.setdefault(log, last), done)

    def confirm(self, log: str, numbers: Collection[int]) -> None:
        def work(image: ParentImage) -> object:
            for number in numbers:
                image.refused.get(log, {}).pop(number, None)
            return None

        self._disk.transaction(work)


class ModelDownLog:
    """Commands waiting at the parent."""

    LOG = "d" * 32

    def __init__(self, disk: Disk[ParentImage]) -> None:
        self._disk = disk

    def append(
        self, command: Command, deadline_wall_ms: int, done: Callable[[object], None]
    ) -> None:
        def work(image: ParentImage) -> object:
            number = len(image.commands) + 1
            kept = DownCommand(self.LOG, number, command, deadline_wall_ms)
            image.commands.append(kept)
            return kept

        self._disk.transaction(work, done)

    def pending(self) -> list[DownCommand]:
        image = self._disk.synced
        return [kept for kept in image.commands if kept.number not in image.down_taken]

    def settle(self, numbers: RangeSet) -> None:
        def work(image: ParentImage) -> object:
            image.down_taken = image.down_taken.union(numbers)
            return None

        self._disk.transaction(work)
