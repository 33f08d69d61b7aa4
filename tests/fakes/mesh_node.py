"""A mesh on an in-memory registry, with what its ways out were given kept in lists."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from gateway.app.meshing import MOST_BODY_BYTES
from gateway.errors import MalformedFrameError, StoreFullError
from gateway.mesh.build import Gatekeeping, Mesh
from gateway.mesh.registration import RegistrationMode
from gateway.mesh.router import Ways
from gateway.model import Command, DeviceUuid, Message, MessageKind, Stamp
from gateway.model.ports import TokenRecord
from gateway.model.wire import compact
from gateway.mqtt.ports import Credentials, Principal, PrincipalKind, Rejected
from tests.fakes.clock import FakeClock
from tests.fakes.mesh_registry import MemoryDevices, MemoryTokens

PEPPER = b"p" * 32
INVITATION = "INVITE-0001"


def device_uuid(number: int) -> DeviceUuid:
    """Return a readable uuid."""
    return DeviceUuid(f"{number:08x}-0000-4000-8000-000000000000")


def reject_users(_credentials: Credentials, done: Callable[[Principal | Rejected], None]) -> None:
    """Know no users."""
    done(Rejected(4, "no such user"))


def accept_users(credentials: Credentials, done: Callable[[Principal | Rejected], None]) -> None:
    """Take everybody with a name for a user."""
    done(Principal(PrincipalKind.USER, credentials.username or ""))


class MeshNode:
    """The mesh and everything around it that a test looks at."""

    def __init__(
        self, mode: RegistrationMode = RegistrationMode.OPEN, *, has_parent: bool = True
    ) -> None:
        self.clock = FakeClock()
        self.tokens = MemoryTokens()
        self.devices = MemoryDevices(self.tokens)
        self.spooled: list[tuple[Message, bool]] = []
        self.dispatched: list[Command] = []
        self.sent_down: list[tuple[DeviceUuid, Command]] = []
        self.is_full = False
        self.is_slow = False  # the disk: a test settles by itself
        self.brought: set[DeviceUuid] = set()
        self.children: dict[DeviceUuid, DeviceUuid] = {}  # device -> child
        self.mesh = Mesh(
            self.devices,
            self.tokens,
            clock=self.clock,
            ways=Ways(
                spool=self._spool if has_parent else None,
                dispatch=self.dispatched.append,
                send_down=lambda child, command: self.sent_down.append((child, command)),
                is_brought=lambda uuid: uuid in self.brought,
                child_of=self.children.get,
                observed_ms=self._observed_ms,
            ),
            gatekeeping=Gatekeeping(
                mode=mode,
                pepper=PEPPER,
                is_child=lambda uuid: uuid in self.children.values(),
                redeem=self._redeem,
                other=accept_users,
            ),
        )
        self.router = self.mesh.router

    def _spool(self, message: Message, waiting: bool) -> int:
        if self.is_full:
            raise StoreFullError("the spool is full", code="GW-1503", hint="free space")
        if len(message.body) > MOST_BODY_BYTES:
            raise MalformedFrameError("too large", code="GW-1817", hint="send it in parts")
        self.spooled.append((message, waiting))
        number = len(self.spooled)
        if waiting and not self.is_slow:  # as if the group commit came in the next tick
            asyncio.get_running_loop().call_soon(self.mesh.settling.settled, number)
        return number

    def _observed_ms(self, stamp: Stamp) -> int:
        return self.clock.wall_ms() - self.clock.uptime_ms() + stamp.uptime_ms

    async def _redeem(self, _uuid: DeviceUuid, code: str) -> bool:
        return code == INVITATION

    async def add(self, number: int, token: str = "", **document: Any) -> DeviceUuid:
        """Store a device as it stands, without registration's defaults."""
        uuid = device_uuid(number)
        tokens = [TokenRecord(uuid, self.mesh.hasher.hash(uuid, token), is_root=True)]
        await self.devices.insert({"uuid": uuid, **document}, tokens if token else [])
        self.mesh.access.invalidate(uuid)
        return uuid

    def message(self, sender: DeviceUuid, body: object, **fields: Any) -> Message:
        """Return a Meshblu message of a device."""
        kind = fields.pop("kind", MessageKind.MESSAGE)
        return Message("m-1", kind, sender, compact(body), self.clock.stamp(), **fields)


@contextlib.asynccontextmanager
async def working(node: MeshNode) -> AsyncIterator[MeshNode]:
    """Run the mesh's service meanwhile."""
    async with asyncio.TaskGroup() as group:
        service = group.create_task(node.mesh.work.run())
        try:
            yield node
        finally:
            service.cancel()
