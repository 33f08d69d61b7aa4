"""QoS 1 messages that wait for a client: bounded in count and bytes, with a policy at the bound."""

from collections import deque
from enum import StrEnum

Waiting = tuple[bytes, bytes]
"""(PUBLISH up to its packet id, payload): shared by all who wait for the same message."""


class DropPolicy(StrEnum):
    """Which message goes when there is no room."""

    OLDEST = "oldest"  # sensors: what is newest matters
    NEWEST = "newest"  # commands and logs: what came first is done first


class BoundedQueue:
    """First in, first out, never above its bounds."""

    __slots__ = ("_items", "bytes", "max_bytes", "max_count", "policy")

    def __init__(self, max_count: int, max_bytes: int, policy: DropPolicy) -> None:
        self.max_count = max_count
        self.max_bytes = max_bytes
        self.policy = policy
        self.bytes = 0
        self._items: deque[Waiting] | None = None  # 600 bytes that most clients never need

    def __len__(self) -> int:
        return len(self._items) if self._items else 0

    def push(self, head: bytes, payload: bytes) -> int:
        """Add a message; return how many were dropped for it (itself included)."""
        size = len(head) + len(payload)
        if size > self.max_bytes:
            return 1
        dropped = 0
        items = self._items
        if items is None:
            items = self._items = deque()
        while len(items) >= self.max_count or self.bytes + size > self.max_bytes:
            if self.policy is DropPolicy.NEWEST:
                return 1
            self.pop()
            dropped += 1
        items.append((head, payload))
        self.bytes += size
        return dropped

    def pop(self) -> Waiting:
        """Take the oldest message; there must be one."""
        assert self._items is not None
        item = self._items.popleft()
        self.bytes -= len(item[0]) + len(item[1])
        return item
