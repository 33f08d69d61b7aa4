"""Unknown hardware becomes a device: claims run beside the fast path, and what is heard meanwhile waits its turn.

Policy `auto`: whatever a configured link brings is claimed at once. A claim that fails is tried again; one that
hangs delays its own device only.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.bridge.devices import Devices, Group, Source
from gateway.bridge.slugs import free, slug_for
from gateway.errors import GatewayError
from gateway.model import DeviceUuid, Document, HardwareId, Identity, normalised
from gateway.model.backoff import delays
from gateway.model.ports import IdentityRepository

log = logging.getLogger(__name__)

MOST_HELD = 256  # groups of one device while it is being claimed; then the oldest go
MOST_CLAIMS = 64  # at the same time; more hardware waits until it is heard again
MOST_DEVICES = 1000  # of one gateway: a bus that invents ids must not fill the registry


@dataclass(frozen=True, slots=True)
class Owners:
    """Who may do what with the devices that are claimed: this node, and its owner once it has one."""

    node: DeviceUuid
    owner: DeviceUuid | None = None


def document_of(identity: Identity, owners: Owners) -> Document:
    """Return the device document of a claimed device: version 2.0.0 with explicit lists (topic rules, section 6)."""
    allowed = [{"uuid": each} for each in (owners.owner, owners.node) if each is not None]
    lists = {
        "discover": {"view": allowed},
        "configure": dict.fromkeys(("update", "as", "sent", "received"), allowed),
        "message": {"from": allowed},
        "broadcast": {"sent": allowed},
    }
    document: Document = {
        "uuid": identity.uuid,
        "type": f"device:{identity.driver}",
        "name": identity.slug,
        "meshblu": {"version": "2.0.0", "whitelists": lists},
        "gateway": owners.node,
        "hardwareId": identity.hardware_id,
        "driver": identity.driver,
    }
    if owners.owner is not None:
        document["owner"] = owners.owner
    return document


@dataclass(slots=True)
class _Claim:
    source: Source
    held: deque[Group] = field(default_factory=lambda: deque(maxlen=MOST_HELD))


class Claims:
    """Hardware that has no identity yet."""

    def __init__(
        self,
        identities: IdentityRepository,
        devices: Devices,
        wall_ms: Callable[[], int],
        claimed: Callable[[Identity, Source, list[Group]], None],
    ) -> None:
        """`claimed` is called with the identity and all that was held, before anything newer is accepted."""
        self._identities = identities
        self._devices = devices
        self._wall_ms = wall_ms
        self._claimed = claimed
        self._open: dict[HardwareId, _Claim] = {}
        self._waiting: deque[HardwareId] = deque()
        self._slugs: set[str] = set()  # promised to claims that are under way
        self._wake = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._open)

    def hold(self, group: Group, source: Source) -> None:
        """Keep what an unknown device said, and have it claimed."""
        claim = self._open.get(group.hardware_id)
        if claim is None:
            is_full = len(self._devices) + len(self._open) >= MOST_DEVICES
            if is_full or len(self._open) >= MOST_CLAIMS:
                self._drop("too many devices" if is_full else "too many claims")
                return
            claim = self._open[group.hardware_id] = _Claim(source)
            self._waiting.append(group.hardware_id)
            self._wake.set()
        elif len(claim.held) == MOST_HELD:
            self._drop("a claim takes long")
        claim.held.append(group)

    async def run(self, owners: Callable[[], Owners]) -> None:
        """Claim until cancelled; claims that a cancel ends begin anew with the next run."""
        self._waiting = deque(self._open)
        async with asyncio.TaskGroup() as group:
            while True:
                while self._waiting:
                    hardware_id = self._waiting.popleft()
                    group.create_task(
                        self._patiently(hardware_id, owners), name=f"claim {hardware_id}"
                    )
                self._wake.clear()
                await self._wake.wait()

    async def _patiently(self, hardware_id: HardwareId, owners: Callable[[], Owners]) -> None:
        source = self._open[hardware_id].source
        retries = delays()
        while True:
            try:
                identity = await self._claim(hardware_id, source, owners())
            except GatewayError as error:
                log.warning("claim failed", extra={"hardware_id": hardware_id, "error": str(error)})
                await asyncio.sleep(next(retries))
            else:
                break
        held = list(self._open.pop(hardware_id).held)
        self._claimed(identity, source, held)

    async def _claim(self, hardware_id: HardwareId, source: Source, owners: Owners) -> Identity:
        natural = slug_for(
            hardware_id,
            driver=source.driver,
            link=source.link,
            origin=source.origin,
            is_demo=source.is_demo,
        )
        slug = free(natural, self._slugs | self._devices.by_slug.keys())
        self._slugs.add(slug)
        identity = Identity(
            hardware_id,
            normalised(str(uuid.uuid4())),
            slug,
            source.driver,
            source.link,
            claimed_ms=self._wall_ms(),
            last_seen_ms=None,
            is_demo=source.is_demo,
        )
        try:
            return await self._identities.claim(identity, document_of(identity, owners))
        finally:
            self._slugs.discard(slug)

    def _drop(self, reason: str) -> None:
        self.dropped += 1
        if self.dropped & (self.dropped - 1) == 0:  # 1, 2, 4, 8 ...: a flood is told, not repeated
            log.warning("readings dropped", extra={"reason": reason, "dropped": self.dropped})
