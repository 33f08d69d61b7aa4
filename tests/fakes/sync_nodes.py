"""A gateway and its parent in one process: real SQLite logs, a real broker on a free port, a real paho client.

Only what `state.db` holds (children, documents, tokens) is kept in dictionaries here.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.model import Command, CommandResult, DeviceUuid, Message, MessageKind, Ticket
from gateway.model.ports import SearchQuery, TokenRecord
from gateway.mqtt.ports import Credentials, Principal, PrincipalKind, Rejected
from gateway.store.committer import Committer
from gateway.store.downlog import SqliteDownLog
from gateway.store.inbox import SqliteInbox
from gateway.store.ranges import SqliteRanges
from gateway.store.spool import SpoolLimits, SqliteSpool
from gateway.uplink.child import ChildPorts, ChildUplink, UplinkSettings
from gateway.uplink.enrol import EnrolPorts
from gateway.uplink.parent_file import load_parent
from gateway.uplink.server import ServerPorts, UplinkServer
from tests.fakes.clock import FakeClock

SITE = DeviceUuid("00000000-0000-4000-8000-00000000000a")
OWNER = DeviceUuid("00000000-0000-4000-8000-0000000000bb")
EDGE = DeviceUuid("00000000-0000-4000-8000-000000000001")
SENSOR = DeviceUuid("00000000-0000-4000-8000-0000000000a0")


class Registry:
    """Children, documents and tokens of the parent; outlives its restarts as state.db does."""

    def __init__(self) -> None:
        self.owners: dict[DeviceUuid, DeviceUuid | None] = {}
        self.speakers: dict[DeviceUuid, DeviceUuid] = {}
        self.invites: dict[bytes, list[Any]] = {}
        self.documents: dict[DeviceUuid, dict[str, Any]] = {}
        self.token_rows: list[TokenRecord] = []

    async def search(self, query: SearchQuery) -> list[dict[str, Any]]:
        found = [each for each in self.documents.values() if query.matches(each)]
        return found[: query.limit]

    # Children

    async def all(self) -> Mapping[DeviceUuid, DeviceUuid | None]:
        return dict(self.owners)

    async def accept(self, node: DeviceUuid, owner: DeviceUuid | None) -> None:
        self.owners[node] = owner

    async def remove(self, node: Any, matches: Any = None) -> Any:
        if matches is None:
            self.owners.pop(node, None)
            return None
        kept = [row for row in self.token_rows if row.uuid != node or not matches(row)]
        gone, self.token_rows = len(self.token_rows) - len(kept), kept
        return gone

    async def brought(self) -> Mapping[DeviceUuid, DeviceUuid]:
        return dict(self.speakers)

    async def bring(self, node: DeviceUuid, device: DeviceUuid) -> DeviceUuid:
        return self.speakers.setdefault(device, node)

    async def invite(self, code_hash: bytes, owner: DeviceUuid | None, expires_ms: int) -> None:
        self.invites[code_hash] = [owner, expires_ms, None]

    async def redeem(
        self, code_hash: bytes, node: DeviceUuid, now_ms: int
    ) -> tuple[bool, DeviceUuid | None]:
        invite = self.invites.get(code_hash)
        if invite is None or invite[1] < now_ms or invite[2] not in (None, node):
            return False, None
        invite[2] = node
        return True, invite[0]

    # DeviceRepository and TokenRepository

    async def get(self, uuid: DeviceUuid) -> dict[str, Any] | None:
        return self.documents.get(uuid)

    async def insert(self, document: dict[str, Any], tokens: Sequence[TokenRecord] = ()) -> None:
        if document["uuid"] in self.documents:
            raise KeyError(document["uuid"])
        self.documents[document["uuid"]] = document
        self.token_rows.extend(tokens)

    async def update(self, uuid: DeviceUuid, program: Any) -> Any:
        before = self.documents[uuid]
        self.documents[uuid] = program(json.loads(json.dumps(before))) or before
        return before, self.documents[uuid]

    async def add(self, token: TokenRecord) -> None:
        self.token_rows.append(token)


def hash_token(uuid: DeviceUuid, token: str) -> bytes:
    return hashlib.sha256(f"{uuid}{token}".encode()).digest()


class Site:
    """The parent; `start` and `stop` as often as a test likes, on one port and one state directory."""

    def __init__(self, state_dir: Path, registry: Registry, tls: Any = None) -> None:
        self.registry = registry
        self.clock = FakeClock(boot_id="site")
        self.arrived: list[Message] = []
        self.port = 0
        self._dir = state_dir
        self._tls = tls

    async def start(self) -> None:
        self._committer = Committer(self._dir / "log.db", "log", page_size=1024, auto_vacuum=True)
        await self._committer.open()
        self.ranges = SqliteRanges(self._committer, clock=self.clock)
        downlog = SqliteDownLog(self._committer, clock=self.clock)
        self.broker = Broker(self._authenticate)
        enrol = EnrolPorts(self.registry, self.registry, self.registry, hash_token)
        ports = ServerPorts(self.ranges, downlog, enrol, self._route, lambda _: None)
        self.server = UplinkServer(self.broker, ports, self.clock, mesh_id="mesh-1", node=SITE)
        await self.server.open()
        self._stack = contextlib.AsyncExitStack()
        listener = Listener(
            self.broker, ListenerSpec("test", ("127.0.0.1",), self.port, tls=self._tls)
        )
        await listener.open(self._stack)
        self.port = listener.addresses[0][1]
        self._tasks = [
            asyncio.get_running_loop().create_task(service.run())
            for service in (self._committer, self.server, self.broker)
        ]

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()
        await self._committer.close()

    def _authenticate(self, credentials: Credentials, done: Any) -> None:
        node = DeviceUuid(credentials.username or "")
        password = (credentials.password or b"").decode()
        wanted = hash_token(node, password)
        if node in self.registry.owners and any(
            row.uuid == node and row.hash == wanted for row in self.registry.token_rows
        ):
            done(Principal(PrincipalKind.CHILD, node))
            return

        async def ask() -> None:
            accepted = await self.server.redeem(node, password)
            done(Principal(PrincipalKind.CHILD, node) if accepted else Rejected(5, "no such login"))

        self._asking = asyncio.get_running_loop().create_task(ask())

    def _route(self, messages: Sequence[Message]) -> Ticket:
        self.arrived.extend(messages)
        return Ticket(0)


class Edge:
    """The gateway."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.clock = FakeClock(boot_id="edge", wall_ms=1_764_000_005_000)
        self.dispatched: list[Command] = []
        self.answered: list[tuple[str, CommandResult]] = []
        self.documents = [{"uuid": SENSOR, "type": "sensor", "name": "greenhouse"}]
        self._sent = 0

    async def start(self) -> None:
        self._committer = Committer(
            self.state_dir / "log.db", "log", page_size=1024, auto_vacuum=True
        )
        await self._committer.open()
        limits = SpoolLimits(loss_window_s=0.05, offer_interval_s=0.01)
        self.spool = SqliteSpool(self._committer, clock=self.clock, node=EDGE, limits=limits)
        self._tasks = [asyncio.get_running_loop().create_task(self._committer.run())]
        await self.spool.open()
        self.inbox = SqliteInbox(self._committer, self.spool)
        ports = ChildPorts(
            self.spool,
            self.inbox,
            self._documents,
            self.dispatched.append,
            self._route_result,
            lambda: load_parent(self.state_dir),
        )
        settings = UplinkSettings(first_delay_s=0.02, most_delay_s=0.05)
        self.uplink = ChildUplink(EDGE, ports, self.clock, settings)
        self.service = asyncio.get_running_loop().create_task(self.uplink.run())
        self._tasks.append(self.service)

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.spool.close()
        await self._committer.close()

    def say(self, count: int, sender: DeviceUuid = SENSOR) -> list[str]:
        """Append readings with payloads of their own; returns the payloads."""
        said = []
        for _ in range(count):
            self._sent += 1
            text = f'{{"payload":{{"n":{self._sent}}},"units":{{}}}}'
            said.append(text)
            stamp = self.clock.stamp()
            self.spool.append(
                Message(f"m{self._sent}", MessageKind.READING, sender, text.encode(), stamp)
            )
        return said

    async def _documents(self) -> Sequence[dict[str, Any]]:
        return self.documents

    def _route_result(self, command: Command, result: CommandResult) -> None:
        self.answered.append((command.id, result))
        self.inbox.finish(result)
