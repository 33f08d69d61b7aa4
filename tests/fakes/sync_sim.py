"""A deterministic world of one gateway and one parent around the real machines and the model of the stores.

It owns the scheduler, the entropy and both clocks.  Sessions are cut anywhere, either side crashes at any step
(its machine and everything unsynced vanish), commits come late.  MQTT keeps order within a session, so frames
are lost with their session, or on the way down when the broker finds the child too far behind.

The oracle compares payload nonces, never numbers.  `World(seed).run()` raises `BrokenError` with the seed.
"""

import copy
import json
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from gateway.errors import ForbiddenError
from gateway.model import Command, CommandResult, DeviceUuid, Message, MessageKind, Outcome, Stamp
from gateway.uplink.protocol import child_events as cev
from gateway.uplink.protocol import effects as fx
from gateway.uplink.protocol import parent_events as pev
from gateway.uplink.protocol.child import ChildMachine
from gateway.uplink.protocol.frames import Credit, Hello, Registration, decode, encode
from gateway.uplink.protocol.parent import ParentFacts, ParentMachine, Phase
from tests.fakes.log_store import (
    ChildImage,
    Disk,
    ModelDownLog,
    ModelInbox,
    ModelRanges,
    ModelSpool,
    ParentImage,
)

NODE = DeviceUuid("00000000-0000-4000-8000-000000000001")
DEVICES = [DeviceUuid(f"00000000-0000-4000-8000-0000000000a{n}") for n in range(3)]
STRANGER = DeviceUuid("00000000-0000-4000-8000-0000000000f0")  # another child speaks for it
OTHER_CHILD = DeviceUuid("00000000-0000-4000-8000-000000000002")
EPOCH_MS = 1_764_000_000_000
FACTS = ParentFacts("mesh-1", Credit(600, 400, 4000))


class BrokenError(AssertionError):
    """A promise was broken; the text holds the seed that replays it."""


class Child:
    """One process start of the gateway, on what the crash before left on disk."""

    def __init__(self, world: "World", image: ChildImage) -> None:
        self.world = world
        self.disk = Disk(image)
        log, first = f"{world.dice.getrandbits(128):032x}", 1
        if "number reuse after a crash" in world.bugs and image.started:
            log = image.started[-1]
            first = image.logs[log] + 1
        self.spool = ModelSpool(self.disk, log, world.boot_id, first=first)
        self.inbox = ModelInbox(self.disk)
        self.machine = world.child_machine(NODE, self.spool.store_id, world.boot_id)
        self.jobs: deque[fx.ChildEffect] = deque()
        self.timer_ms = 0
        self.nonces: dict[int, str] = {}
        for command in self.inbox.unfinished():
            self.inbox.finish(CommandResult(command.id, Outcome.UNKNOWN))

    def step(self, event: cev.ChildEvent) -> None:
        if self is not self.world.child:
            return
        for effect in self.machine.step(event, self.world.child_now()):
            self.perform(effect)

    def perform(self, effect: fx.ChildEffect) -> None:
        world = self.world
        match effect:
            case fx.Send(frame):
                world.up.append(encode(frame))
            case fx.Close():
                world.cut()
            case fx.Timer(at_ms):
                self.timer_ms = at_ms
            case fx.Settle(receipt):
                world.acked |= {
                    self.nonces[n]
                    for n in receipt.taken.numbers()
                    if receipt.log == self.spool.log
                    and n in self.nonces
                    and n not in receipt.refused  # acknowledged with the dead letter's commit
                }
                self.spool.settle(receipt, lambda r: self.step(cev.Settled(r)))  # type: ignore[arg-type]
            case fx.ForgetLog(log):
                self.spool.forget_log(log)
            case fx.Admit(command, down_log, number):
                self.inbox.admit(
                    command,
                    down_log,
                    number,
                    lambda is_new: self.step(cev.Admitted(effect, bool(is_new))),
                )
                if "command let through before its commit" in world.bugs:
                    world.dispatched[command.id] += 1
            case fx.Dispatch(command):
                if "command let through before its commit" not in world.bugs:
                    world.dispatched[command.id] += 1
                self.inbox.finish(CommandResult(command.id, Outcome.DONE))
            case fx.Answer(command, outcome):
                self.inbox.finish(CommandResult(command.id, outcome))
            case fx.KeepAnchor():
                pass
            case _:
                self.jobs.append(effect)

    def work(self) -> None:
        effect = self.jobs.popleft()
        if isinstance(effect, fx.GatherDocuments):
            devices = self.world.registrations()
            self.step(cev.DocumentsGathered(effect, devices, str(len(devices))))
        elif isinstance(effect, fx.ReadBlocks):
            blocks = self.spool.pending(effect.but, effect.most_bytes, effect.after)
            self.step(cev.BlocksRead(effect, blocks))

    def link(self) -> None:
        self.spool.seal()
        now = self.world.child_now()
        hello = Hello(
            NODE, self.spool.store_id, self.spool.log, self.world.boot_id, now.uptime_ms, now.wall_ms,
            tuple(self.spool.logs()), dict(self.inbox.taken()), str(len(self.world.claimed)),
        )  # fmt: skip
        self.step(cev.Linked(hello))


class Parent:
    """One process start of the parent."""

    def __init__(self, world: "World", image: ParentImage) -> None:
        self.world = world
        self.disk = Disk(image)
        self.ranges = ModelRanges(self.disk)
        self.downlog = ModelDownLog(self.disk)
        self.session: ParentMachine | None = None
        self.jobs: deque[fx.ParentEffect] = deque()

    def accept(self) -> None:
        self.jobs.clear()
        self.session = self.world.parent_machine(NODE, FACTS, self.world.speaker)

    def step(self, session: ParentMachine | None, event: pev.ParentEvent) -> None:
        if session is None or session is not self.session or self is not self.world.parent:
            return
        for effect in session.step(event, self.world.parent_now()):
            self.perform(session, effect)

    def perform(self, session: ParentMachine, effect: fx.ParentEffect) -> None:
        world = self.world
        match effect:
            case fx.Send(frame):
                if world.dice.random() >= world.drop_share:
                    world.down.append(encode(frame))
            case fx.Close():
                world.cut()
            case fx.Deliver(_, records):
                world.routed.update(json.loads(record.body)["n"] for record in records)
            case fx.Timer() | fx.TakeAnchor():
                pass
            case _:
                self.jobs.append(effect)

    def work(self) -> None:
        effect, session = self.jobs.popleft(), self.session
        assert session is not None
        match effect:
            case fx.Open(hello):
                for ranges in hello.down.values():
                    self.downlog.settle(ranges)
                self.ranges.fence(lambda fence: self.opened(session, fence))
            case fx.Apply(register):
                self.world.brought |= {device.uuid for device in register.devices}
                self.step(session, pev.Applied(effect))
            case fx.Take(fence, block, records, refused):
                self.ranges.take(
                    fence,
                    block,
                    records,
                    lambda new: {r.number: refused[r.number] for r in new if r.number in refused},
                    session._is_late(block),
                    lambda intake: self.took(session, effect, intake),
                )
                if "ack before commit" in self.world.bugs:
                    self.ack_early(session, effect)
            case fx.Finish(log, last):
                self.ranges.ended(
                    log, last, lambda _: self.step(session, pev.Counted(log, None, is_end=True))
                )
            case fx.Confirm(log, numbers):
                self.ranges.confirm(log, tuple(numbers.numbers()))
            case fx.SettleDown(_, numbers):
                self.downlog.settle(numbers)

    def opened(self, session: ParentMachine, fence: object) -> None:
        assert session.hello is not None
        known = self.ranges.of()
        if "refusal forgotten on repeat" in self.world.bugs:
            known = {log: type(taken)(taken.ranges) for log, taken in known.items()}
        commands = tuple(self.downlog.pending())
        assert isinstance(fence, int)
        self.step(session, pev.Opened(fence, known, str(len(self.world.brought)), commands))

    def took(self, session: ParentMachine, request: fx.Take, intake: object) -> None:
        if isinstance(intake, ForbiddenError):
            self.step(session, pev.Took(request, None, "stale"))
        else:
            self.step(session, pev.Took(request, intake))  # type: ignore[arg-type]

    def ack_early(self, session: ParentMachine, request: fx.Take) -> None:
        disk = Disk(copy.deepcopy(self.disk.synced))
        early: list[Any] = []
        ModelRanges(disk).take(
            request.fence, request.block, request.records,
            lambda new: {r.number: request.refused[r.number] for r in new if r.number in request.refused},
            False, early.append,
        )  # fmt: skip
        disk.commit()
        if not isinstance(early[0], ForbiddenError):
            self.step(session, pev.Took(request, early[0]))


class World:
    """Everything, and the dice."""

    def __init__(
        self,
        seed: int,
        *,
        bugs: frozenset[str] = frozenset(),
        child_machine: Callable[..., ChildMachine] = ChildMachine,
        parent_machine: Callable[..., ParentMachine] = ParentMachine,
    ) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.bugs = bugs
        self.child_machine = child_machine
        self.parent_machine = parent_machine
        self.now_ms = 10_000
        self.booted_ms = 0
        self.boot_id = "boot-0"
        self.drop_share = self.dice.choice([0.0, 0.0, 0.05, 0.2])
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.is_linked = False
        self.claimed = set(DEVICES[:2])
        self.brought: set[str] = set()
        self.acked: set[str] = set()
        self.refusable: set[str] = set()
        self.routed: Counter[str] = Counter()
        self.dispatched: Counter[str] = Counter()
        self.commands = 0
        self.serial = 0
        self.trace: list[str] = []
        self.child = Child(self, ChildImage())
        self.parent = Parent(self, ParentImage())

    # ---- clocks and identities ----

    def child_now(self) -> fx.Now:
        return fx.Now(self.now_ms - self.booted_ms, EPOCH_MS + self.now_ms)

    def parent_now(self) -> fx.Now:
        return fx.Now(self.now_ms, EPOCH_MS + 7_000 + self.now_ms)

    def speaker(self, device: DeviceUuid) -> DeviceUuid | None:
        if device == STRANGER:
            return OTHER_CHILD
        return NODE if device in self.brought else None

    def registrations(self) -> list[Registration]:
        return [Registration(uuid, 1, {"uuid": uuid}) for uuid in sorted(self.claimed)]

    # ---- what can happen ----

    def append(self) -> None:
        for _ in range(self.dice.randint(1, 4)):
            self.serial += 1
            nonce = f"r{self.serial}"
            sender = self.dice.choice([*sorted(self.claimed), *sorted(self.claimed), STRANGER])
            if sender == STRANGER:
                self.refusable.add(nonce)
            body = json.dumps({"n": nonce, "pad": "x" * self.dice.randint(0, 60)}).encode()
            stamp = Stamp(self.boot_id, self.child_now().uptime_ms)
            number = self.child.spool.append(
                Message(nonce, MessageKind.MESSAGE, sender, body, stamp)
            )
            self.child.nonces[number] = nonce

    def seal(self) -> None:
        if self.child.spool.seal():
            self.child.step(cev.Sealed())

    def claim(self) -> None:
        self.claimed.add(DEVICES[2])
        self.child.step(cev.DocumentsChanged())

    def commit_child(self) -> None:
        child = self.child
        appended = set(child.nonces.values())
        child.disk.commit()
        self.acked |= appended

    def commit_parent(self) -> None:
        self.parent.disk.commit()

    def work_child(self) -> None:
        if self.child.jobs:
            self.child.work()

    def work_parent(self) -> None:
        if self.parent.jobs:
            self.parent.work()

    def deliver_up(self) -> None:
        if self.up and self.parent.session is not None:
            self.parent.step(self.parent.session, pev.Received(decode(self.up.popleft())))

    def deliver_down(self) -> None:
        if self.down:
            self.child.step(cev.Received(decode(self.down.popleft())))

    def link(self) -> None:
        if not self.is_linked:
            self.is_linked = True
            self.parent.accept()
            self.child.link()

    def cut(self) -> None:
        if self.is_linked:
            self.is_linked = False
            self.up.clear()
            self.down.clear()
            self.parent.session = None
            self.parent.jobs.clear()
            self.child.step(cev.Lost())

    def crash_child(self) -> None:
        image = self.child.disk.crash()
        self.is_linked = False
        self.up.clear()
        self.down.clear()
        self.parent.session = None
        self.parent.jobs.clear()
        if self.dice.random() < 0.5:
            self.boot_id = f"boot-{self.now_ms}"
            self.booted_ms = self.now_ms - 500
        self.child = Child(self, image)

    def crash_parent(self) -> None:
        image = self.parent.disk.crash()
        self.cut()
        self.parent = Parent(self, image)

    def wait(self) -> None:
        self.now_ms += self.dice.choice([1, 20, 200, 2000])
        if self.child.timer_ms <= self.child_now().uptime_ms:
            self.child.step(cev.Tick())
        if self.parent.session is not None and self.parent.session.phase is Phase.OPEN:
            self.parent.step(self.parent.session, pev.Tick())

    def command(self) -> None:
        self.commands += 1
        command = Command(f"c{self.commands}", DEVICES[0], NODE, "set", {"on": True}, 0)
        deadline_ms = self.parent_now().wall_ms + self.dice.choice([100, 60_000, 600_000])
        session = self.parent.session
        self.parent.downlog.append(
            command,
            deadline_ms,
            lambda kept: self.parent.step(session, pev.CommandKept(kept)),  # type: ignore[arg-type]
        )

    CALM = (
        ("work_child", 9), ("work_parent", 9), ("deliver_up", 9), ("deliver_down", 9),
        ("commit_child", 2), ("commit_parent", 3), ("wait", 3), ("link", 2),
    )  # fmt: skip
    WILD = (
        *CALM, ("append", 4), ("seal", 4), ("claim", 0.1), ("cut", 0.4), ("crash_child", 0.3),
        ("crash_parent", 0.3), ("command", 0.5),
    )  # fmt: skip

    def run(self, steps: int = 400) -> None:
        """Live through faults, then calm down and compare."""
        try:
            self._act(self.WILD, steps)
            self.drop_share = 0.0
            for _ in range(400):
                self.seal()
                self._act(self.CALM, 30)
                if self._is_quiet():
                    break
            self._judge()
        except AssertionError as error:
            recent = " ".join(self.trace[-40:])
            raise BrokenError(f"seed {self.seed}: {error}; last steps: {recent}") from error

    def _act(self, table: tuple[tuple[str, float], ...], steps: int) -> None:
        names = [name for name, _ in table]
        weights = [weight for _, weight in table]
        for name in self.dice.choices(names, weights, k=steps):
            self.trace.append(name)
            getattr(self, name)()

    def _is_quiet(self) -> bool:
        child = self.child
        return (
            not self.up
            and not self.down
            and not child.jobs
            and not child.disk.is_dirty
            and not self.parent.jobs
            and not self.parent.disk.is_dirty
            and not child.spool.pending((), 1, None)
            and not child.disk.synced.blocks
        )

    # ---- the oracle ----

    def _judge(self) -> None:
        history = self.parent.disk.synced.history
        arrived = Counter(json.loads(record.body)["n"] for _, record, _ in history)
        dead = {json.loads(record.body)["n"] for _, record in self.child.disk.synced.dead.values()}
        assert self._is_quiet(), "it never comes to rest"
        twice = [nonce for nonce, count in arrived.items() if count > 1]
        assert not twice, f"arrived twice: {twice}"
        lost = sorted(self.acked - set(arrived) - dead)
        assert not lost, f"acknowledged, but neither arrived nor dead letter: {lost}"
        assert not dead - self.refusable, f"refused without reason: {dead - self.refusable}"
        assert not self.refusable & set(arrived), "taken though it had to be refused"
        assert not set(self.routed) - set(arrived), "routed, but not on the parent's disk"
        assert max(self.routed.values(), default=0) <= 1, "routed twice"
        self._judge_order()
        repeated = [name for name, count in self.dispatched.items() if count > 1]
        assert not repeated, f"commands let through twice: {repeated}"

    def _judge_order(self) -> None:
        newest: dict[tuple[str, bool, str], int] = {}
        for log, record, is_late in self.parent.disk.synced.history:
            place = (log, is_late, record.sender)
            assert record.number > newest.get(place, 0), f"out of order: {record.number} of {log}"
            newest[place] = record.number
