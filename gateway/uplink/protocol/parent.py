"""The parent's machine, one for each session of a child: what is asked of the stores, and what is answered when.

    NEW --HELLO/Open--> OPENING --Opened/WELCOME--> OPEN --Close--> CLOSED

A block is acknowledged only by the `Took` that says it is on disk.  Our own faults are NACKs, never refusals.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from gateway.errors import MalformedFrameError
from gateway.model.block import Block, unpack
from gateway.model.device import DeviceUuid
from gateway.model.message import Refusal
from gateway.model.ranges import RangeSet
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol.effects import (
    Admission,
    Apply,
    Close,
    Confirm,
    Deliver,
    Finish,
    Forgo,
    Now,
    Open,
    ParentEffect,
    Send,
    SettleDown,
    Take,
    TakeAnchor,
)
from gateway.uplink.protocol.judging import Speaker, placeholders, refusals, unknown_senders
from gateway.uplink.protocol.parent_commands import CommandsDown
from gateway.uplink.protocol.parent_events import (
    Applied,
    CommandKept,
    Counted,
    Opened,
    ParentEvent,
    Received,
    Tick,
    Took,
)

STRIKES = 3  # times a block may fail before its records are judged one by one, or it is set aside
RETRY_MS = 2_000
SOON_MS = 50
MOST_UNCONFIRMED = 8_192  # refusals of one log that a child has not confirmed: what fits one TAKEN
MOST_WAITING_BYTES = (
    4 << 20
)  # of blocks that a child sent and we have not taken; credit is far below


class Phase(Enum):
    """Where a session stands."""

    NEW = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """Who this parent is and what it allows."""

    mesh_id: str
    credit: fr.Credit


class ParentMachine:
    """Answers one session of one child."""

    def __init__(self, node: DeviceUuid, facts: ParentFacts, speaker: Speaker) -> None:
        self.node = node
        self.phase = Phase.NEW
        self.hello: fr.Hello | None = None
        self._facts = facts
        self._speaker = speaker
        self._fence = 0
        self._marks: dict[str, int] = {}
        self._taken: dict[str, RangeSet] = {}
        self._taking: set[tuple[str, int]] = set()  # (log, last) of blocks on their way to the disk
        # A TAKEN names all of them, not only its own block's: one that got lost must not turn, by the ranges
        # of the next, into "taken" (found by the simulator).
        self._unconfirmed: dict[str, dict[int, Refusal]] = {}
        self._waiting_bytes = 0
        self._applying = 0  # REGISTERs that are not applied yet: the blocks behind them wait
        self._behind: deque[fr.BlockFrame] = deque()
        self._closed_logs: set[str] = set()
        self._strikes: dict[tuple[str, int], int] = {}
        self._lacking: set[tuple[str, int]] = set()  # blocks NACKed until their senders are known
        self._registered = False  # a whole set came after the newest such NACK
        self._commands = CommandsDown()
        self.refused_records = 0
        self._handlers: Mapping[type[Any], Callable[[Any, Now], list[ParentEffect]]] = {
            Received: self._received,
            Opened: self._opened,
            Applied: self._applied,
            Took: self._took,
            Counted: self._counted,
            CommandKept: self._command_kept,
            Tick: self._tick,
        }
        self._frames: Mapping[type[Any], Callable[[Any, Now], list[ParentEffect]]] = {
            fr.Register: self._register,
            fr.BlockFrame: self._block_in_turn,
            fr.Void: self._void,
            fr.AnchorFrame: lambda frame, _: [TakeAnchor(frame.anchor)],
            fr.End: self._end,
            fr.DownTaken: self._down_taken,
        }

    def step(self, event: ParentEvent, now: Now) -> list[ParentEffect]:
        """Take in one event; returns what to do, in this order."""
        if self.phase is Phase.CLOSED:
            return []
        effects = self._handlers[type(event)](event, now)
        if any(isinstance(effect, Close) for effect in effects):
            self.phase = Phase.CLOSED
        return effects

    def backlog(self) -> int:
        """Return how many records the child had at HELLO that are not here yet."""
        if self.hello is None:
            return 0
        return sum(
            len(self._taken.get(state.log, RangeSet()).missing(1, state.last))
            for state in self.hello.logs
        )

    # ---- session ----

    def _received(self, event: Received, now: Now) -> list[ParentEffect]:
        frame = event.frame
        if isinstance(frame, fr.Hello):
            return self._greeted(frame)
        if isinstance(frame, fr.Join):
            return [Admission(frame.name)] if self.phase is Phase.NEW else []
        if isinstance(frame, fr.Time):
            return [Send(fr.Time(frame.uptime_ms, now.wall_ms))]
        handler = self._frames.get(type(frame))
        return handler(frame, now) if handler and self.phase is Phase.OPEN else []

    def _greeted(self, frame: fr.Hello) -> list[ParentEffect]:
        if self.phase is not Phase.NEW or frame.node != self.node:
            return [Close("HELLO twice, or of another node")]
        if frame.version != fr.VERSION:
            text = f"this parent speaks version {fr.VERSION} of the sync protocol, the child {frame.version}"
            return [Send(fr.Refused("version", text)), Close(text)]
        self.phase = Phase.OPENING
        self.hello = frame
        self._marks = {state.log: state.last for state in frame.logs}
        return [Open(frame)]

    def _opened(self, event: Opened, now: Now) -> list[ParentEffect]:
        assert self.hello is not None
        self.phase = Phase.OPEN
        self._fence = event.fence
        self._taken = {log: taken.ranges for log, taken in event.known.items()}
        self._unconfirmed = {log: dict(taken.unconfirmed) for log, taken in event.known.items()}
        named = {state.log for state in self.hello.logs}
        known = {
            log: fr.Known(taken.ranges, taken.unconfirmed)
            for log, taken in event.known.items()
            if log in named
        }
        welcome = fr.Welcome(
            self._facts.mesh_id,
            self.hello.store_id,
            event.fence,
            now.wall_ms,
            self.hello.uptime_ms,
            known,
            self._facts.credit,
            event.registers,
        )
        effects: list[ParentEffect] = [Send(welcome)]
        for command in event.commands:
            effects.extend(self._commands.send(command, self.hello.store_id, now))
        return effects

    def _register(self, frame: fr.Register, _: Now) -> list[ParentEffect]:
        self._applying += 1
        return [Apply(frame)]

    def _applied(self, event: Applied, now: Now) -> list[ParentEffect]:
        self._applying -= 1
        effects: list[ParentEffect] = []
        digest = event.request.register.digest
        if digest:
            self._registered = True
            effects.append(Send(fr.Registered(digest, event.refused)))
        while self._behind and not self._applying:
            frame = self._behind.popleft()
            self._waiting_bytes -= len(frame.block.data)
            effects.extend(self._block(frame, now))
        return effects

    # ---- blocks ----

    def _block_in_turn(self, frame: fr.BlockFrame, now: Now) -> list[ParentEffect]:
        if not self._applying:
            return self._block(frame, now)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            return [Close("blocks far beyond the credit")]
        self._behind.append(frame)
        self._waiting_bytes += len(frame.block.data)
        return []

    def _block(self, frame: fr.BlockFrame, _: Now) -> list[ParentEffect]:
        block = frame.block
        if frame.fence != self._fence or self._waiting_bytes > MOST_WAITING_BYTES:
            return [Close("a block under an old fence, or far beyond the credit")]
        effects = self._confirmed(frame.confirm)
        if len(self._unconfirmed.get(block.log, ())) > MOST_UNCONFIRMED:
            return [*effects, Send(fr.Nack(block.log, block.first, "busy", SOON_MS))]
        if not self._is_next(frame):
            return [*effects, Send(fr.Nack(block.log, block.first, "order", SOON_MS))]
        try:
            records = unpack(block)
        except MalformedFrameError:
            if not self._strike(block):
                return [*effects, Send(fr.Nack(block.log, block.first, "fault", RETRY_MS))]
            records = placeholders(block, self.node)
            return [*effects, self._take(block, records, _all_malformed(block))]
        if unknown_senders(records, self.node, self._speaker) and not self._was_told(block):
            self._lacking.add(block.key)
            self._registered = False
            return [*effects, Send(fr.Nack(block.log, block.first, "needs"))]
        refused = refusals(records, self.node, self._speaker)
        return [*effects, self._take(block, records, refused)]

    def _confirmed(self, confirm: Mapping[str, RangeSet]) -> list[ParentEffect]:
        effects: list[ParentEffect] = []
        for log, numbers in confirm.items():
            known = self._unconfirmed.get(log, {})
            seen = RangeSet.of((n, n) for n in known if n in numbers)
            if (
                seen
            ):  # only what was refused: a child may name 1..2^63, which nobody can count through
                self._unconfirmed[log] = {n: why for n, why in known.items() if n not in seen}
                effects.append(Confirm(log, seen))
        return effects

    def _is_next(self, frame: fr.BlockFrame) -> bool:
        log, prev = frame.block.log, frame.prev
        return prev == 0 or prev in self._taken.get(log, RangeSet()) or (log, prev) in self._taking

    def _was_told(self, block: Block) -> bool:
        """Say whether a whole set of devices came after this block was sent back for want of one."""
        return self._registered and block.key in self._lacking

    def _strike(self, block: Block) -> bool:
        self._strikes[block.key] = self._strikes.get(block.key, 0) + 1
        return self._strikes[block.key] >= STRIKES

    def _take(self, block: Block, records: list[Any], refused: Mapping[int, Refusal]) -> Take:
        self._taking.add((block.log, block.last))
        self._waiting_bytes += len(block.data)
        return Take(self._fence, block, records, refused)

    def _took(self, event: Took, _: Now) -> list[ParentEffect]:
        block = event.request.block
        self._waiting_bytes -= len(block.data)
        self._taking.discard((block.log, block.last))
        if event.intake is None:
            return self._not_taken(event)
        self._strikes.pop(block.key, None)
        self._lacking.discard(block.key)
        receipt = event.intake.receipt
        self._taken[block.log] = self._taken.get(block.log, RangeSet()).union(receipt.taken)
        self.refused_records += len(receipt.refused)
        fresh = [r for r in event.intake.new if r.number not in receipt.refused]
        effects: list[ParentEffect] = []
        if fresh:
            effects.append(Deliver(block, fresh, self._is_late(block)))
        self._unconfirmed.setdefault(block.log, {}).update(receipt.refused)
        effects.append(self._answer(block.log))
        return effects

    def _not_taken(self, event: Took) -> list[ParentEffect]:
        block = event.request.block
        if event.fault == "stale":
            return [Close("a newer session of this child holds the fence")]
        if event.fault == "fault" and self._strike(block):
            # Three times our own mistake: what stands in the way is set aside, the others go on.
            return [self._take(block, placeholders(block, self.node), _all_malformed(block))]
        return [Send(fr.Nack(block.log, block.first, event.fault, RETRY_MS))]

    def _is_late(self, block: Block) -> bool:
        assert self.hello is not None
        return block.log != self.hello.start or block.first <= self._marks.get(block.log, 0)

    def _answer(self, log: str) -> Send:
        return Send(
            fr.TakenFrame(
                log,
                self._taken.get(log, RangeSet()),
                self._unconfirmed.get(log, {}),
                self._facts.credit,
                log in self._closed_logs,
            )
        )

    def _void(self, frame: fr.Void, _: Now) -> list[ParentEffect]:
        if frame.fence != self._fence:
            return [Close("a VOID under an old fence")]
        return [Forgo(frame.fence, frame.log, frame.ranges, frame.reason)]

    def _end(self, frame: fr.End, _: Now) -> list[ParentEffect]:
        if frame.fence != self._fence:
            return [Close("an END under an old fence")]
        return [Finish(frame.log, frame.last, frame.device_numbers or {})]

    def _counted(self, event: Counted, _: Now) -> list[ParentEffect]:
        if event.receipt is not None:
            known = self._taken.get(event.log, RangeSet())
            self._taken[event.log] = known.union(event.receipt.taken)
        if event.is_end:
            self._closed_logs.add(event.log)
        return [self._answer(event.log)]

    # ---- commands ----

    def _command_kept(self, event: CommandKept, now: Now) -> list[ParentEffect]:
        if self.phase is not Phase.OPEN or self.hello is None:
            return []
        return self._commands.send(event.command, self.hello.store_id, now)

    def _down_taken(self, frame: fr.DownTaken, _: Now) -> list[ParentEffect]:
        self._commands.taken(frame.down_log, frame.ranges)
        return [SettleDown(frame.down_log, frame.ranges)]

    def _tick(self, _: Tick, now: Now) -> list[ParentEffect]:
        return self._commands.repeat(self.hello.store_id, now) if self.hello is not None else []


def _all_malformed(block: Block) -> dict[int, Refusal]:
    return dict.fromkeys(range(block.first, block.last + 1), Refusal.MALFORMED)
