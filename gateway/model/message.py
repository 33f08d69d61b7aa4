"""What travels between devices, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from gateway.model.clock import Stamp
from gateway.model.device import DeviceUuid
from gateway.model.ranges import RangeSet


class MessageKind(StrEnum):
    """What `Message.body` holds (always one JSON object as UTF-8 text)."""

    READING = "reading"  # {"payload":{quantity:value},"units":{quantity:unit}[,"quality":q]}
    EVENT = "event"  # {"event":name}
    RESULT = "result"  # a whole Meshblu message: the answer to a command
    MESSAGE = "message"  # a whole Meshblu message as its sender wrote it, `devices` included
    CONFIG = "config"  # a device document


class Lane(IntEnum):
    """Which queue a record waits in, for life."""

    ALARM = 0
    NORMAL = 1


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a message through subscriptions (Meshblu specification 10.4)."""

    sender: DeviceUuid
    receiver: DeviceUuid
    type: str


@dataclass(frozen=True, slots=True)
class Message:
    """One envelope on its way through the router.

    `id` is unique and stable: `<node>:<log>:<n>` once spooled, else a uuid given at acceptance.
    `source` names the link it came by ("" = born here, "child:<uuid>", "parent"), so that it never goes back.
    """

    id: str
    kind: MessageKind
    sender: DeviceUuid
    body: bytes
    created: Stamp
    lane: Lane = Lane.NORMAL
    expires_ms: int | None = None  # uptime of `created.boot_id`
    source: str = ""
    late: bool = False  # history: to history and late subscribers only


class Refusal(StrEnum):
    """Why a parent refuses a record for good; a closed set (sync rules, section 7)."""

    FORBIDDEN = "forbidden"
    NOT_YOURS = "not_yours"
    MALFORMED = "malformed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the parent answered for one log: taken through `taken`, refused by number."""

    log: str
    taken: RangeSet
    refused: Mapping[int, Refusal] = field(default_factory=dict)
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the router answers at once: settled when `settle` is (0: nothing durable was owed)."""

    settle: int
    refused: Mapping[int, Refusal] = field(default_factory=dict)
