"""One live session of one child on a parent: its machine, and the store work that waits for it, in order."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.errors import ForbiddenError, StoreError
from gateway.model.block import messages
from gateway.model.clock import Clock
from gateway.model.device import DeviceUuid
from gateway.model.log_ports import DownLog, Intake, Ranges
from gateway.model.message import Message, Ticket
from gateway.model.ranges import RangeSet
from gateway.mqtt.ports import LocalBroker, Session
from gateway.uplink.enrol import Enrolment
from gateway.uplink.protocol import effects as fx
from gateway.uplink.protocol import parent_events as ev
from gateway.uplink.protocol.frames import Frame, Hello, Joined, Refused, Time, encode
from gateway.uplink.protocol.parent import ParentMachine, Phase

log = logging.getLogger(__name__)

OUR_FAULTS = (
    ValueError, TypeError, LookupError, ArithmeticError, AssertionError, RecursionError,
)  # fmt: skip
"""What a mistake of ours raises while a block is taken: told to the child as a NACK, never as a refusal."""


@dataclass(frozen=True, slots=True)
class SessionPorts:
    """What every session of every child works on."""

    broker: LocalBroker
    ranges: Ranges
    downlog: DownLog
    enrolment: Enrolment
    clock: Clock
    route: Callable[[Sequence[Message]], Ticket]
    mesh_id: str
    parent: DeviceUuid
    wake: Callable[[], None]


class ChildSession:
    """Frames in by `received`, frames out by the broker, store work by `work`."""

    def __init__(self, ports: SessionPorts, session: Session, machine: ParentMachine) -> None:
        self.session = session
        self.machine = machine
        self.node = machine.node
        self.seen_ms = ports.clock.wall_ms()
        self.refused = 0
        self._ports = ports
        self._jobs: deque[fx.ParentEffect] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Return whether HELLO was answered."""
        return self.machine.phase is Phase.OPEN

    @property
    def has_work(self) -> bool:
        """Return whether store work waits."""
        return bool(self._jobs)

    @property
    def hello(self) -> Hello | None:
        """Return what the child said of itself."""
        return self.machine.hello

    def received(self, frame: Frame) -> None:
        """Take in one frame."""
        self.seen_ms = self._ports.clock.wall_ms()
        self.step(ev.Received(frame))

    def probe(self) -> None:
        """Ask for a sign of life."""
        self._send(Time(0, is_probe=True))

    def refuse(self, reason: str, text: str) -> None:
        """End the session and say why."""
        self._send(Refused(reason, text))
        self.machine.phase = Phase.CLOSED
        self._ports.broker.kick(self.session, text)

    def close(self) -> None:
        """Drop what waits: the child offers it again."""
        self.machine.phase = Phase.CLOSED
        self._jobs.clear()
        if self._timer is not None:
            self._timer.cancel()

    def step(self, event: ev.ParentEvent) -> None:
        """Let the machine take in an event, and do what it asks."""
        clock = self._ports.clock
        for effect in self.machine.step(event, fx.Now(clock.uptime_ms(), clock.wall_ms())):
            self._perform(effect)

    def _perform(self, effect: fx.ParentEffect) -> None:
        match effect:
            case fx.Send(frame):
                self._send(frame)
            case fx.Close(reason):
                log.warning("session closed", extra={"node": self.node, "reason": reason})
                self._ports.broker.kick(self.session, reason)
            case fx.Timer(at_ms):
                self._set_timer(at_ms)
            case fx.Deliver(block, records, is_late):
                source = f"child:{self.node}"
                self._ports.route(messages(block, self.node, records, source, late=is_late))
            case _:
                self._jobs.append(effect)
                self._ports.wake()

    def _send(self, frame: Frame) -> None:
        topic = f"$gateway/1/{self.node}/down"
        # False means that the session is gone or too far behind: the child asks again by itself.
        self._ports.broker.deliver(self.session, topic, encode(frame))

    def _set_timer(self, at_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(at_ms - self._ports.clock.uptime_ms(), 0) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self.step, ev.Tick())

    # ---- store work ----

    async def work(self) -> None:
        """Do what waits now; what one child sends cannot end the sessions of the others."""
        try:
            await self._work()
        except OUR_FAULTS:
            log.exception("session failed", extra={"node": self.node})
            self._ports.broker.kick(self.session, "a fault of the parent's; call again")

    async def _work(self) -> None:
        """Do what waits now; blocks that follow each other are taken in one commit."""
        for _ in range(len(self._jobs)):
            if not self._jobs:
                return
            if takes := self._next_takes():
                for took in await asyncio.gather(*map(self._take, takes)):
                    self.step(took)
            else:
                await self._do(self._jobs.popleft())

    def _next_takes(self) -> list[fx.Take]:
        takes: list[fx.Take] = []
        while self._jobs and isinstance(job := self._jobs[0], fx.Take):
            takes.append(job)
            self._jobs.popleft()
        return takes

    async def _take(self, request: fx.Take) -> ev.Took:
        try:
            intake: Intake = await self._ports.ranges.take(
                self.node,
                request.fence,
                request.block,
                request.records,
                lambda records: {
                    record.number: request.refused[record.number]
                    for record in records
                    if record.number in request.refused
                },
            )
        except ForbiddenError:
            return ev.Took(request, None, "stale")
        except StoreError as error:
            log.warning("block not taken", extra={"node": self.node, "code": error.code})
            return ev.Took(request, None, "store")
        except OUR_FAULTS:
            log.exception("block not taken", extra={"node": self.node, "log": request.block.log})
            return ev.Took(request, None, "fault")
        self.refused += len(request.refused)
        return ev.Took(request, intake)

    async def _do(self, effect: fx.ParentEffect) -> None:
        ports, node = self._ports, self.node
        match effect:
            case fx.Open(hello):
                self.step(await self._open(hello))
            case fx.Apply(register):
                self.step(ev.Applied(effect, await ports.enrolment.apply(node, register)))
            case fx.Forgo():
                await self._forgo(effect)
            case fx.Finish(name, last, device_numbers):
                await ports.ranges.ended(node, name, last, device_numbers)
                self.step(ev.Counted(name, None, is_end=True))
            case fx.Confirm(name, numbers):
                await ports.ranges.confirm(node, name, tuple(numbers.numbers()))
            case fx.SettleDown(name, numbers):
                await ports.downlog.settle(node, name, numbers)
            case fx.TakeAnchor(anchor):
                await ports.ranges.anchor(node, anchor)
            case fx.Admission(name):
                await self._admit(name)
            case _:
                raise TypeError(type(effect).__name__)

    async def _forgo(self, effect: fx.Forgo) -> None:
        try:
            receipt = await self._ports.ranges.void(
                self.node, effect.fence, effect.log, effect.numbers, effect.reason
            )
        except ForbiddenError as error:
            self._ports.broker.kick(self.session, error.text)
            return
        self.step(ev.Counted(effect.log, receipt))

    async def _open(self, hello: Hello) -> ev.Opened:
        ports, node = self._ports, self.node
        fence = await ports.ranges.fence(node, hello.store_id)
        known = await ports.ranges.of(node)
        for state in hello.logs:
            have = known[state.log].ranges if state.log in known else RangeSet()
            gone = have.missing(1, state.first_held - 1)
            if gone:
                # Not here and not there: another store of this mesh, or one before a restore, has them.
                await ports.ranges.void(node, fence, state.log, gone, "taken_elsewhere")
                known = await ports.ranges.of(node)
        for down_log, ranges in hello.down.items():
            await ports.downlog.settle(node, down_log, ranges)
        commands = await ports.downlog.pending(node)
        return ev.Opened(fence, known, ports.enrolment.digest(node), tuple(commands))

    async def _admit(self, name: str) -> None:
        token = await self._ports.enrolment.join(self.node, name)
        if token is None:
            self.refuse("unknown", "this gateway has no invitation here")
        else:
            self._send(Joined(token, self._ports.mesh_id, self._ports.parent))
