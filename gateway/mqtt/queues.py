"""How much may wait for a client: bounds in count and bytes, with a policy at the bound."""

from dataclasses import dataclass
from enum import StrEnum

MOST_QUEUED = 60_000  # packet ids are given when a message is queued, and there are 65,535


class DropPolicy(StrEnum):
    """Which message goes when there is no room."""

    OLDEST = "oldest"  # sensors: what is newest matters
    NEWEST = "newest"  # commands and logs: what came first is done first


@dataclass(slots=True)
class QueueBounds:
    """What each session may hold, and all of them together."""

    count: int = 1000  # per session
    bytes: int = 1 << 20  # per session
    policy: DropPolicy = DropPolicy.OLDEST
    all_bytes: int = 64 << 20
    used_bytes: int = 0  # by all sessions
