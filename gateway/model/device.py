"""Meshblu identities and documents."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NewType

from gateway.model.reading import HardwareId

DeviceUuid = NewType("DeviceUuid", str)
"""Lower-case 8-4-4-4-12 hex text. Faces normalise it at their edge with `normalised`."""

Document = dict[str, Any]
"""A device document as JSON: `uuid`, whitelists, `meshblu.*`, and whatever its owner put there."""

UUID_PATTERN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


def is_uuid(text: str) -> bool:
    """Return whether `text` has the shape of a device uuid (any letter case)."""
    return UUID_PATTERN.match(text) is not None


def normalised(text: str) -> DeviceUuid:
    """Return a uuid in the one spelling used inside: lower case."""
    return DeviceUuid(text.lower())


@dataclass(frozen=True, slots=True)
class Identity:
    """A bridged device: what the wire calls it, what the mesh calls it, what its topics are called."""

    hardware_id: HardwareId
    uuid: DeviceUuid
    slug: str  # [a-z0-9_-]{1,64}, unique on this gateway
    driver: str
    link: str  # name of the link it was last heard on
    claimed_ms: int  # epoch ms
    last_seen_ms: int | None  # epoch ms, kept across restarts
    is_demo: bool = False


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """What the mesh must know of a device to judge a request without reading its document."""

    uuid: DeviceUuid
    lists: Mapping[str, frozenset[str]]  # "message.from" -> uuids or "*", already in 2.0 terms
    token_hashes: frozenset[bytes]
    version: int  # counts writes of this record, newest wins
