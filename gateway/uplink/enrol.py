"""Who is a child here and which devices it speaks for: invitations, tokens, device documents."""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.model.clock import Clock
from gateway.model.device import DeviceUuid, Document
from gateway.model.log_ports import Children
from gateway.model.ports import DeviceRepository, SearchQuery, TokenRecord, TokenRepository
from gateway.model.whitelist import compiled
from gateway.model.wire import iso
from gateway.uplink.invitation import VALID_MS, code_hash
from gateway.uplink.protocol.frames import Register, Registration

log = logging.getLogger(__name__)

TOKEN_TAG = "uplink"  # noqa: S105 - the name of a token, not one
LISTS = ("discover.view", "configure.update", "message.from", "broadcast.sent")
NOT_FROM_BELOW = frozenset({"uuid", "owner", "meshblu", "token", "gateway"})


@dataclass(frozen=True, slots=True)
class EnrolPorts:
    """The stores of identities, and how this mesh hashes tokens."""

    children: Children
    devices: DeviceRepository
    tokens: TokenRepository
    hash_token: Callable[[DeviceUuid, str], bytes]


class Enrolment:
    """The children of this node, in memory and in state.db."""

    def __init__(
        self, ports: EnrolPorts, clock: Clock, on_change: Callable[[DeviceUuid], None]
    ) -> None:
        self._ports = ports
        self._clock = clock
        self._on_change = on_change
        self.owners: dict[DeviceUuid, DeviceUuid | None] = {}
        self._brought: dict[DeviceUuid, DeviceUuid] = {}
        self._joining: dict[DeviceUuid, tuple[DeviceUuid | None, int]] = {}
        self._digests: dict[DeviceUuid, str] = {}

    async def load(self) -> None:
        """Read children and devices."""
        self.owners = dict(await self._ports.children.all())
        self._brought = dict(await self._ports.children.brought())

    def child_of(self, device: DeviceUuid) -> DeviceUuid | None:
        """Return the child that brought a device."""
        return self._brought.get(device)

    def digest(self, node: DeviceUuid) -> str:
        """Return which set of documents of a child was applied last, "" if none since start."""
        return self._digests.get(node, "")

    async def invite(self, code: str, owner: DeviceUuid | None) -> int:
        """Keep an invitation; returns when it ends (epoch ms)."""
        expires_ms = self._clock.wall_ms() + VALID_MS
        await self._ports.children.invite(code_hash(code), owner, expires_ms)
        return expires_ms

    async def redeem(self, node: DeviceUuid, code: str) -> bool:
        """Use an invitation up for a node that connects with it as its password.

        False where the code is no good, and where the uuid belongs to something else than a child of the
        same owner: an invitation is no way to take a device over.
        """
        now_ms = self._clock.wall_ms()
        is_known = node in self.owners
        if not is_known and await self._is_taken(node):
            return False
        accepted, owner = await self._ports.children.redeem(code_hash(code), node, now_ms)
        if not accepted or (is_known and self.owners[node] != owner):
            return False
        self._joining[node] = (owner, now_ms + VALID_MS)
        return True

    async def _is_taken(self, node: DeviceUuid) -> bool:
        """Return whether a uuid means somebody here: a device, an owner, a name on any whitelist."""
        if node in self.owners.values() or await self._ports.devices.get(node) is not None:
            return True

        def names(document: Document) -> bool:
            return document.get("owner") == node or any(
                node in listed for listed in compiled(document).values()
            )

        return bool(await self._ports.devices.search(SearchQuery(names, limit=1)))

    async def join(self, node: DeviceUuid, name: str) -> str | None:
        """Make a redeemed node a child; returns its new token, None if it has no invitation."""
        owner, until_ms = self._joining.get(node, (None, 0))
        if until_ms < self._clock.wall_ms():
            return None
        token = secrets.token_hex(20)
        record = TokenRecord(node, self._ports.hash_token(node, token), {"tag": TOKEN_TAG})
        document = _document(
            Registration(node, 0, {"type": "gateway", "name": name}), node, owner, self._now()
        )
        if await self._ports.devices.get(node) is None:
            await self._ports.devices.insert(document, [record])
        else:
            await self._ports.tokens.remove(node, lambda old: old.metadata.get("tag") == TOKEN_TAG)
            await self._ports.tokens.add(record)
        await self._ports.children.accept(node, owner)
        self.owners[node] = owner
        # Only now: a token that got lost on its way is asked for again with the same code.
        self._on_change(node)
        log.info("gateway joined", extra={"node": node, "owner": owner})
        return token

    async def remove(self, node: DeviceUuid) -> None:
        """Forget a child and its token; its devices stay."""
        await self._ports.tokens.remove(node, lambda old: old.metadata.get("tag") == TOKEN_TAG)
        await self._ports.children.remove(node)
        self.owners.pop(node, None)
        self._joining.pop(node, None)
        self._on_change(node)

    async def apply(self, node: DeviceUuid, register: Register) -> Mapping[str, str]:
        """Create or update the devices of a child; returns who was refused and why."""
        refused: dict[str, str] = {}
        for device in register.devices:
            if not await self._bring(node, device):
                refused[device.uuid] = "not_yours"
        if register.digest and not refused:
            self._digests[node] = register.digest
        return refused

    async def _bring(self, node: DeviceUuid, device: Registration) -> bool:
        speaker = self._brought.get(device.uuid)
        if speaker is not None and speaker != node:
            return False
        known = await self._ports.devices.get(device.uuid)
        if speaker is None:
            if known is not None:
                return False  # it lives here already: no child may take it over
            if await self._ports.children.bring(node, device.uuid) != node:
                return False
        self._brought[device.uuid] = node
        if known is None:
            await self._ports.devices.insert(
                _document(device, node, self.owners.get(node), self._now())
            )
        else:
            await self._ports.devices.update(device.uuid, lambda old: _updated(old, device, node))
        self._on_change(device.uuid)
        return True

    def _now(self) -> str:
        return iso(self._clock.wall_ms())


def _document(
    device: Registration, node: DeviceUuid, owner: DeviceUuid | None, now: str
) -> Document:
    """Return the document under which a device of a child lives here: version 2.0.0, explicit lists."""
    readers = [{"uuid": uuid} for uuid in dict.fromkeys((owner, node)) if uuid is not None]
    whitelists: dict[str, Any] = {}
    for name in LISTS:
        group, action = name.split(".")
        whitelists.setdefault(group, {})[action] = [dict(entry) for entry in readers]
    document: Document = {
        **{key: value for key, value in device.document.items() if key not in NOT_FROM_BELOW},
        "uuid": device.uuid,
        "meshblu": {
            "version": "2.0.0",
            "createdAt": now,
            "updatedAt": now,
            "whitelists": whitelists,
            "register": {"counter": device.counter, "writer": node},
        },
    }
    if device.uuid != node:
        document["gateway"] = node
    if owner is not None:
        document["owner"] = owner
    return document


def _updated(old: Document, device: Registration, node: DeviceUuid) -> Document | None:
    """Return the document after a child's write, None where it is not newer (or changes nothing).

    The child decides what its device is; owner, lists and tokens are this mesh's alone.
    """
    meshblu = dict(old.get("meshblu", {}))
    register = meshblu.get("register", {})
    if device.counter <= int(register.get("counter", 0)):
        return None
    fields = {k: v for k, v in device.document.items() if k not in NOT_FROM_BELOW}
    meshblu["register"] = {"counter": device.counter, "writer": node}
    return {**old, **fields, "meshblu": meshblu}
