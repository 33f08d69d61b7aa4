"""The child's machine: what a gateway says to its parent, and what it believes of the answers.

    OFFLINE --Linked/HELLO--> GREETING --WELCOME--> ONLINE --Lost--> OFFLINE

It never deletes: it asks its shell to settle what the parent has on disk.  It confirms a refusal only after
the shell said that the dead letter is durable.  Everything here is volatile; a crash loses nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.model.block import Block
from gateway.model.log_ports import LogState
from gateway.model.message import Receipt
from gateway.model.ranges import RangeSet
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol.child_events import (
    Admitted,
    BlocksRead,
    ChildEvent,
    DocumentsChanged,
    DocumentsGathered,
    Linked,
    Lost,
    Received,
    Sealed,
    Settled,
    Tick,
)
from gateway.uplink.protocol.downlink import ChildCommands
from gateway.uplink.protocol.effects import (
    ChildEffect,
    Close,
    ForgetLog,
    GatherDocuments,
    KeepAnchor,
    Now,
    ReadBlocks,
    Send,
    Settle,
    Timer,
)
from gateway.uplink.protocol.offset import ParentClock
from gateway.uplink.protocol.registers import parts
from gateway.uplink.protocol.window import OfferWindow

GREETING_MS = 10_000  # a parent that does not answer HELLO in this time is a black hole
TIME_EVERY_MS = 60_000
MOST_CONFIRMED = 4096  # refusals named in one BLOCK; the rest rides on the next


class ChildMachine:
    """Speaks for one store of one node; one per process start, through all its sessions."""

    def __init__(self, node: str, store_id: str, boot_id: str) -> None:
        self._node = node
        self._store_id = store_id
        self._boot_id = boot_id
        self._session = 0
        self._hello: fr.Hello | None = None
        self._welcome: fr.Welcome | None = None
        self._window: OfferWindow | None = None
        self._clock = ParentClock()
        self._mark = 0  # numbers of this start's log above it are live in this session
        self._reading = False
        self._unsettled_logs: set[str] = set()  # of WELCOME: blocks are read only after these
        self._is_dry = {True: False, False: False}  # live, history: nothing left to read
        self._registering = False
        self._is_outdated = False
        self._anchored: set[str] = set()
        self._confirm: dict[str, RangeSet] = {}
        self._ends: dict[str, LogState] = {}
        self._commands = ChildCommands(store_id)
        self._greeted_ms = 0
        self._timed_ms = 0
        self.registered = ""  # digest that the parent has applied
        self.refused_devices: Mapping[str, str] = {}
        self.taken_blocks = 0
        self.refused_records = 0
        self.nacks = 0
        self._handlers: Mapping[type[Any], Callable[[Any, int], list[ChildEffect]]] = {
            Linked: self._linked,
            Received: self._received,
            Lost: self._lost,
            Sealed: self._sealed,
            BlocksRead: self._blocks_read,
            Settled: self._settled,
            DocumentsChanged: self._changed,
            DocumentsGathered: self._gathered,
            Admitted: self._admitted,
            Tick: self._tick,
        }
        self._frames: Mapping[type[Any], Callable[[Any, int], list[ChildEffect]]] = {
            fr.Welcome: self._welcomed,
            fr.Refused: self._rejected,
            fr.TakenFrame: self._taken,
            fr.Nack: self._nacked,
            fr.Registered: self._registered,
            fr.CommandFrame: self._command,
            fr.Time: self._time,
        }

    @property
    def is_online(self) -> bool:
        """Return whether a session is open."""
        return self._welcome is not None

    def stats(self) -> Mapping[str, int]:
        """Return counters for status pages."""
        counters = {
            "taken_blocks": self.taken_blocks,
            "refused_records": self.refused_records,
            "nacks": self.nacks,
        }
        return counters | dict(self._window.stats() if self._window else {})

    def step(self, event: ChildEvent, now: Now) -> list[ChildEffect]:
        """Take in one event; returns what to do, in this order."""
        effects = self._handlers[type(event)](event, now.uptime_ms)
        if self._hello is not None:
            effects.extend(self._read(now.uptime_ms))
            effects.append(Timer(self._due(now.uptime_ms)))
        return effects

    # ---- session ----

    def _linked(self, event: Linked, now_ms: int) -> list[ChildEffect]:
        self._reset()
        hello = event.hello
        self._hello = hello
        self._greeted_ms = now_ms
        self._commands.known(hello.down)
        own = next((state for state in hello.logs if state.log == hello.start), None)
        self._mark = own.last if own is not None else 0
        self._ends = {state.log: state for state in hello.logs if state.log != hello.start}
        return [Send(hello)]

    def _lost(self, _: Lost, __: int) -> list[ChildEffect]:
        self._reset()
        return []

    def _reset(self) -> None:
        self._session += 1
        self._hello = self._welcome = self._window = None
        self._clock = ParentClock()
        self._reading = self._registering = self._is_outdated = False
        self._is_dry = {True: False, False: False}
        self._anchored.clear()
        self._unsettled_logs.clear()
        self.registered = ""

    def _received(self, event: Received, now_ms: int) -> list[ChildEffect]:
        handler = self._frames.get(type(event.frame))
        is_early = self._welcome is None and not isinstance(
            event.frame, fr.Welcome | fr.Refused | fr.Time
        )
        if handler is None or self._hello is None or is_early:
            return []
        return handler(event.frame, now_ms)

    def _welcomed(self, frame: fr.Welcome, now_ms: int) -> list[ChildEffect]:
        if frame.version != fr.VERSION or frame.store_id != self._store_id or self._welcome:
            return []
        assert self._hello is not None
        self._welcome = frame
        self._window = OfferWindow(frame.credit, now_ms)
        self.registered = frame.registers
        effects: list[ChildEffect] = self._measured(frame.uptime_ms, frame.wall_ms, now_ms)
        effects.append(self._ask_time(now_ms))
        for log, known in frame.known.items():
            self._unsettled_logs.add(log)
            effects.append(Settle(Receipt(log, known.ranges, known.refused)))
        for log, state in self._ends.items():
            numbers = state.device_numbers if state.is_closed else None
            effects.append(Send(fr.End(frame.fence, log, state.last, numbers)))
        if self._hello.registers != frame.registers:
            effects.extend(self._gather())
        return effects

    def _rejected(self, frame: fr.Refused, _: int) -> list[ChildEffect]:
        return [Close(frame.text, is_final=frame.reason in ("unknown", "version", "duplicate"))]

    # ---- blocks ----

    def _sealed(self, _: Sealed, __: int) -> list[ChildEffect]:
        self._is_dry = {True: False, False: False}
        return []

    def _read(self, now_ms: int) -> list[ChildEffect]:
        if self._window is None or self._reading or self._registering or self._unsettled_logs:
            return []
        for is_live in (True, False):
            if self._is_dry[is_live]:
                continue
            room = self._window.room(now_ms, is_live=is_live)
            if not room:
                return []  # live blocks that wait for credit are not overtaken by history
            self._reading = True
            after = self._mark if is_live else None
            return [ReadBlocks(self._session, self._window.keys(), room, after)]
        return []

    def _blocks_read(self, event: BlocksRead, now_ms: int) -> list[ChildEffect]:
        if event.request.session != self._session or self._window is None:
            return []
        self._reading = False
        if self._registering:
            return []  # they may need a device that the parent does not know yet: read again after it
        effects: list[ChildEffect] = [
            Send(fr.AnchorFrame(anchor))
            for anchor in event.anchors
            if anchor.boot_id not in self._anchored
        ]
        self._anchored.update(anchor.boot_id for anchor in event.anchors)
        offered = 0
        for block in event.blocks:
            is_live = self._is_live(block)
            if not self._window.follows(block, is_live=is_live):
                continue
            if not self._window.room(now_ms, is_live=is_live):
                break
            effects.append(self._offer(block, now_ms, is_live=is_live))
            offered += 1
        if not offered:
            self._is_dry[event.request.after is not None] = True
        return effects

    def _is_live(self, block: Block) -> bool:
        assert self._hello is not None
        return block.log == self._hello.start and block.first > self._mark

    def _offer(self, block: Block, now_ms: int, *, is_live: bool) -> Send:
        assert self._window is not None
        assert self._welcome is not None
        prev = self._window.offer(block, now_ms, is_live=is_live)
        confirm, self._confirm = self._confirm, {}
        return Send(fr.BlockFrame(self._welcome.fence, block, prev, confirm))

    def _taken(self, frame: fr.TakenFrame, now_ms: int) -> list[ChildEffect]:
        assert self._window is not None
        self._window.credit = frame.credit
        self._window.answered(frame.log, frame.ranges, now_ms)
        self.taken_blocks += 1
        self.refused_records += len(frame.refused)
        effects: list[ChildEffect] = [Settle(Receipt(frame.log, frame.ranges, frame.refused))]
        state = self._ends.get(frame.log)
        if frame.is_closed and state is not None and _is_complete(state, frame.ranges):
            del self._ends[frame.log]
            effects.append(ForgetLog(frame.log))
        return effects

    def _settled(self, event: Settled, _: int) -> list[ChildEffect]:
        log, refused = event.receipt.log, event.receipt.refused
        self._unsettled_logs.discard(log)
        if refused:
            numbers = RangeSet.of((n, n) for n in list(refused)[:MOST_CONFIRMED])
            self._confirm[log] = self._confirm.get(log, RangeSet()).union(numbers)
        if self._window is not None:
            self._window.settled(log, event.receipt.taken)
            self._is_dry = {True: False, False: False}
        return []

    def _nacked(self, frame: fr.Nack, now_ms: int) -> list[ChildEffect]:
        assert self._window is not None
        self.nacks += 1
        self._window.refused_for_now(frame.log, frame.first, now_ms + frame.retry_after_ms)
        self._is_dry = {True: False, False: False}
        return self._gather() if frame.reason == "needs" else []

    # ---- devices ----

    def _changed(self, _: DocumentsChanged, __: int) -> list[ChildEffect]:
        return self._gather() if self._welcome is not None else []

    def _gather(self) -> list[ChildEffect]:
        if self._registering:
            self._is_outdated = True  # what is being gathered may have been read before this change
            return []
        self._registering = True
        return [GatherDocuments(self._session)]

    def _gathered(self, event: DocumentsGathered, _: int) -> list[ChildEffect]:
        if event.request.session != self._session or self._welcome is None:
            return []
        self._registering = False
        effects: list[ChildEffect] = [Send(f) for f in parts(event.devices, event.digest)]
        if self._is_outdated:
            self._is_outdated = False
            effects += self._gather()
        return effects

    def _registered(self, frame: fr.Registered, _: int) -> list[ChildEffect]:
        self.registered = frame.digest
        self.refused_devices = frame.refused
        return []

    # ---- commands and time ----

    def _command(self, frame: fr.CommandFrame, now_ms: int) -> list[ChildEffect]:
        return self._commands.received(frame, self._clock, now_ms)

    def _admitted(self, event: Admitted, now_ms: int) -> list[ChildEffect]:
        return self._commands.admitted(
            event.request, now_ms, is_new=event.is_new, is_online=self.is_online
        )

    def _time(self, frame: fr.Time, now_ms: int) -> list[ChildEffect]:
        if frame.is_probe:
            return [Send(fr.Time(now_ms))]
        if frame.wall_ms is None or self._welcome is None:
            return []
        return self._measured(frame.uptime_ms, frame.wall_ms, now_ms)

    def _measured(self, asked_ms: int, wall_ms: int, now_ms: int) -> list[ChildEffect]:
        is_news = self._clock.measured(asked_ms, wall_ms, now_ms)
        anchor = self._clock.anchor(self._boot_id)
        if anchor is None or not is_news:
            return []
        self._anchored.add(self._boot_id)
        return [KeepAnchor(anchor), Send(fr.AnchorFrame(anchor))]

    def _ask_time(self, now_ms: int) -> Send:
        self._timed_ms = now_ms
        return Send(fr.Time(now_ms))

    def _tick(self, _: Tick, now_ms: int) -> list[ChildEffect]:
        if self._hello is None:
            return []
        if self._window is None:
            if now_ms >= self._greeted_ms + GREETING_MS:
                return [Close("the parent does not answer HELLO")]
            return []
        if self._window.overdue(now_ms):
            return [Close("the parent does not answer blocks")]
        self._is_dry[False] = False
        return [self._ask_time(now_ms)] if now_ms >= self._timed_ms + TIME_EVERY_MS else []

    def _due(self, now_ms: int) -> int:
        if self._window is None:
            return self._greeted_ms + GREETING_MS
        due = self._window.due_ms(now_ms)
        asks = self._timed_ms + TIME_EVERY_MS
        return asks if due is None else min(due, asks)


def _is_complete(state: LogState, ranges: RangeSet) -> bool:
    return state.last == 0 or ranges.covers(1, state.last)
