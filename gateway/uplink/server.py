"""The parent's end of the uplink: sessions of children on the local broker, and one loop for their store work."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import MalformedFrameError, StoreFullError
from gateway.model.clock import Clock
from gateway.model.command import Command
from gateway.model.device import DeviceUuid
from gateway.model.log_ports import DownLog, Ranges
from gateway.model.message import Message, Ticket
from gateway.mqtt.ports import (
    CONSUMED,
    LocalBroker,
    PrincipalKind,
    Publish,
    Refused,
    Session,
    Verdict,
)
from gateway.uplink.child_session import ChildSession, SessionPorts
from gateway.uplink.enrol import Enrolment, EnrolPorts
from gateway.uplink.protocol import parent_events as ev
from gateway.uplink.protocol.frames import Credit, Hello, Join, decode
from gateway.uplink.protocol.parent import ParentFacts, ParentMachine

log = logging.getLogger(__name__)

CLAIM = "$gateway/1/#"
INTAKE_EVERY_S = 0.05  # commits for children are grouped over all of them (sync rules, section 7)
PROBE_MS = 3_000  # how long the older of two equal children has to answer
CREDIT = Credit(live_bytes=512 * 1024, history_bytes=512 * 1024, history_bytes_per_s=4 << 20)


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """What the parent's side works on, handed in by the composition root.

    `route` gets the messages of a block after its commit. `on_change` hears of devices whose documents, owner
    or tokens changed, so that access caches can follow.
    """

    ranges: Ranges
    downlog: DownLog
    enrol: EnrolPorts
    route: Callable[[Sequence[Message]], Ticket]
    on_change: Callable[[DeviceUuid], None]


class UplinkServer:
    """Service, and the broker's observer of CHILD sessions."""

    name = "uplink-server"
    required = False

    def __init__(
        self,
        broker: LocalBroker,
        ports: ServerPorts,
        clock: Clock,
        *,
        mesh_id: str,
        node: DeviceUuid,
    ) -> None:
        self.enrolment = Enrolment(ports.enrol, clock, ports.on_change)
        self._broker = broker
        self._downlog = ports.downlog
        self._clock = clock
        self._facts = ParentFacts(mesh_id, CREDIT)
        self._wake = asyncio.Event()
        self._ports = SessionPorts(
            broker,
            ports.ranges,
            ports.downlog,
            self.enrolment,
            clock,
            ports.route,
            mesh_id,
            node,
            self._wake.set,
        )
        self._sessions: dict[Session, ChildSession] = {}
        self._probed: dict[ChildSession, tuple[ChildSession, Hello, asyncio.TimerHandle]] = {}
        self._down: deque[tuple[DeviceUuid, Command, int]] = deque()
        self._last_seen: dict[DeviceUuid, int] = {}
        self._duplicates: dict[DeviceUuid, int] = {}
        self.malformed = 0
        self.dropped_commands = 0  # too many waited already
        broker.claim(CLAIM, self._published)
        broker.observe(self)

    async def open(self) -> None:
        """Read who our children are; call it before the broker listens."""
        await self.enrolment.load()

    async def run(self) -> None:
        """Do the sessions' store work until cancelled, at most every INTAKE_EVERY_S."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            began = loop.time()
            await self._send_waiting()
            async with asyncio.TaskGroup() as group:
                for session in [s for s in self._sessions.values() if s.has_work]:
                    group.create_task(session.work(), name=f"intake-{session.node}")
            if any(session.has_work for session in self._sessions.values()):
                self._wake.set()
            await asyncio.sleep(max(0.0, began + INTAKE_EVERY_S - loop.time()))

    # ---- what the node asks ----

    def child_of(self, device: DeviceUuid) -> DeviceUuid | None:
        """Return the child that brought a device."""
        return self.enrolment.child_of(device)

    def is_child(self, node: DeviceUuid) -> bool:
        """Return whether a gateway is a child of this node (for the authenticator)."""
        return node in self.enrolment.owners

    async def redeem(self, node: DeviceUuid, code: str) -> bool:
        """Return whether a CONNECT with this password may open a joining CHILD session."""
        return await self.enrolment.redeem(node, code)

    def send_down(self, child: DeviceUuid, command: Command) -> None:
        """Keep a command for a child and send it when the child is there; `deadline_ms` is our uptime."""
        rest_ms = command.deadline_ms - self._clock.uptime_ms()
        self._down.append((child, command, self._clock.wall_ms() + rest_ms))
        self._wake.set()

    async def remove(self, node: DeviceUuid) -> None:
        """Forget a child and end its sessions."""
        await self.enrolment.remove(node)
        for session in [s for s in self._sessions.values() if s.node == node]:
            session.refuse("unknown", "this gateway was removed at its parent")

    def children_state(self) -> list[dict[str, Any]]:
        """Return every child with its link, for pages and status."""
        live = {session.node: session for session in self._sessions.values() if session.is_open}
        return [
            {
                "node": node,
                "owner": owner,
                "online": node in live,
                "last_seen_ms": live[node].seen_ms if node in live else self._last_seen.get(node),
                "backlog": live[node].machine.backlog() if node in live else None,
                "refused": live[node].machine.refused_records if node in live else 0,
                "duplicates": self._duplicates.get(node, 0),
            }
            for node, owner in self.enrolment.owners.items()
        ]

    # ---- the broker's side ----

    def opened(self, session: Session) -> None:
        """Begin with a child's session."""
        if session.principal.kind is not PrincipalKind.CHILD:
            return
        node = DeviceUuid(session.principal.name)
        machine = ParentMachine(node, self._facts, self.enrolment.child_of)
        self._sessions[session] = ChildSession(self._ports, session, machine)

    def closed(self, session: Session, reason: str) -> None:
        """End a child's session; what was not taken is offered again."""
        child = self._sessions.pop(session, None)
        if child is None:
            return
        child.close()
        self._last_seen[child.node] = child.seen_ms
        if probe := self._probed.pop(child, None):
            newcomer, hello, timer = probe
            timer.cancel()
            newcomer.received(hello)
        log.info("child offline", extra={"node": child.node, "reason": reason})

    def _published(self, session: Session, publish: Publish) -> Verdict:
        child = self._sessions.get(session)
        if child is None or publish.topic != f"$gateway/1/{child.node}/up":
            return Refused("not a child's own sync topic")
        try:
            frame = decode(publish.payload)
        except MalformedFrameError as error:
            self.malformed += 1
            return Refused(error.text)
        if child in self._probed:
            self._answered(child)
        if isinstance(frame, Hello):
            self._greeted(child, frame)
        elif isinstance(frame, Join) or self.is_child(child.node):
            child.received(frame)
        else:
            child.refuse("unknown", "this gateway is not a child of this node")
        return CONSUMED

    def _greeted(self, child: ChildSession, hello: Hello) -> None:
        if not self.is_child(child.node):
            child.refuse("unknown", "this gateway is not a child of this node")
            return
        for other in [
            s for s in self._sessions.values() if s.node == child.node and s is not child
        ]:
            if other.hello is None:
                continue
            if (other.hello.store_id, other.hello.start) == (hello.store_id, hello.start):
                self._broker.kick(other.session, "the same gateway has connected again")
                continue
            timer = asyncio.get_running_loop().call_later(PROBE_MS / 1000, self._silent, other)
            self._probed[other] = (child, hello, timer)
            other.probe()
            return
        child.received(hello)

    def _answered(self, older: ChildSession) -> None:
        """Refuse the newcomer: the older session lives, so it is a copy of it."""
        newcomer, hello, timer = self._probed.pop(older)
        timer.cancel()
        node = older.node
        self._duplicates[node] = self._duplicates.get(node, 0) + 1
        peers = {"node": node, "first": older.session.peer, "second": newcomer.session.peer}
        log.error("duplicate identity refused", extra={**peers, "start": hello.start})
        newcomer.refuse(
            "duplicate",
            f"another gateway with the uuid {node} is connected; join one of them anew",
        )

    def _silent(self, older: ChildSession) -> None:
        """End a half-open session: the newcomer is the gateway after a restart."""
        if older in self._probed:
            self._broker.kick(older.session, "it did not answer, and the gateway has restarted")

    async def _send_waiting(self) -> None:
        while self._down:
            node, command, deadline_wall_ms = self._down[0]
            try:
                kept = await self._downlog.append(node, command, deadline_wall_ms)
            except StoreFullError as error:
                log.warning("command dropped", extra={"node": node, "code": error.code})
                self.dropped_commands += 1
                self._down.popleft()
                continue
            self._down.popleft()
            for session in self._sessions.values():
                if session.node == node and session.is_open:
                    session.step(ev.CommandKept(kept))
