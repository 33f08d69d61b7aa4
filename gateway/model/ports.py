"""What the mesh and the bridge need from a store; stores match these structurally (tests/contract)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.model.device import AccessRecord, DeviceUuid, Document, Identity

UpdateProgram = Callable[[Document], Document | None]
"""Pure: gets a private copy of the document, returns the new one, or None to change nothing; may raise."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """One token of a device: its hash (HMAC-SHA256 under the pepper), never its text."""

    uuid: DeviceUuid
    hash: bytes
    metadata: Mapping[str, Any] = field(default_factory=dict)
    is_root: bool = False
    expires_ms: int | None = None  # epoch ms


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Which documents may come back: `matches` is the pure whole truth."""

    matches: Callable[[Document], bool]
    limit: int = 1000


class DeviceRepository(Protocol):
    """Device documents; each call is one transaction."""

    async def get(self, uuid: DeviceUuid) -> Document | None:
        """Return the document, or None."""
        ...

    async def insert(self, document: Document, tokens: Sequence[TokenRecord] = ()) -> None:
        """Store a new device with its tokens; raises KeyError when the uuid is taken."""
        ...

    async def update(
        self, uuid: DeviceUuid, program: UpdateProgram
    ) -> tuple[Document, Document] | None:
        """Apply `program` inside one transaction; return (before, after), equal if nothing changed, or None."""
        ...

    async def delete(self, uuid: DeviceUuid) -> Document | None:
        """Remove the device and all its tokens; return the last document."""
        ...

    async def search(self, query: SearchQuery) -> Sequence[Document]:
        """Return matching documents, newest first."""
        ...

    async def access_records(
        self, uuids: Sequence[DeviceUuid]
    ) -> Mapping[DeviceUuid, AccessRecord]:
        """Return the access records of those that exist, in one query."""
        ...


class TokenRepository(Protocol):
    """Session tokens, hashed."""

    async def add(self, token: TokenRecord) -> None:
        """Store one token."""
        ...

    async def of(self, uuid: DeviceUuid) -> Sequence[TokenRecord]:
        """Return the tokens of a device."""
        ...

    async def remove(self, uuid: DeviceUuid, matches: Callable[[TokenRecord], bool]) -> int:
        """Remove the tokens that match; return how many went."""
        ...


class IdentityRepository(Protocol):
    """Hardware ids and the mesh devices they are."""

    async def all(self) -> Sequence[Identity]:
        """Return every identity of this gateway."""
        ...

    async def claim(self, identity: Identity, document: Document) -> Identity:
        """Store identity and device in one transaction; return the older one where the hardware is known."""
        ...

    async def rename(self, uuid: DeviceUuid, slug: str) -> Identity:
        """Change the slug; raises KeyError when it is taken or the device is unknown."""
        ...

    async def forget(self, uuid: DeviceUuid) -> Identity | None:
        """Remove identity and device; return what was there."""
        ...

    def seen(self, uuid: DeviceUuid, wall_ms: int, link: str) -> None:
        """Note that a device was heard; written coalesced (at most once a minute, and at stop)."""
        ...


class HistoryReader(Protocol):
    """Stored records of a device, newest last."""

    async def readings(
        self, uuid: DeviceUuid, *, start_ms: int | None, finish_ms: int | None, limit: int
    ) -> Sequence[Document]:
        """Return rendered reading messages observed in [start, finish] (epoch ms)."""
        ...
