"""What a shell tells the child's machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model.block import Block
from gateway.model.clock import Anchor
from gateway.model.message import Receipt
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol.effects import Admit, GatherDocuments, ReadBlocks


@dataclass(frozen=True, slots=True)
class Linked:
    """The wire is up; `hello` was gathered from the stores, with the open block sealed before."""

    hello: fr.Hello


@dataclass(frozen=True, slots=True)
class Received:
    """A frame came in."""

    frame: fr.Frame


@dataclass(frozen=True, slots=True)
class Lost:
    """The wire is gone."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The spool has sealed a block."""


@dataclass(frozen=True, slots=True)
class BlocksRead:
    """Answer to ReadBlocks, with the anchors of the boots in it."""

    request: ReadBlocks
    blocks: Sequence[Block]
    anchors: Sequence[Anchor] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """Answer to Settle: the receipt's effects are durable."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class DocumentsChanged:
    """A brought device was claimed or its document changed."""


@dataclass(frozen=True, slots=True)
class DocumentsGathered:
    """Answer to GatherDocuments."""

    request: GatherDocuments
    devices: Sequence[fr.Registration]
    digest: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """Answer to Admit: durable; `is_new` is False for an id seen before."""

    request: Admit
    is_new: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """The timer went off."""


ChildEvent = (
    Linked | Received | Lost | Sealed | BlocksRead | Settled | DocumentsChanged
    | DocumentsGathered | Admitted | Tick
)  # fmt: skip
