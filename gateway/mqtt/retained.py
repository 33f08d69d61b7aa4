"""The last retained message of each topic; full, it keeps what it has and refuses what is new."""

from collections.abc import Iterator

from gateway.mqtt.topics import TopicTree

RETAINED_COUNT = 10_000
RETAINED_BYTES = 16 << 20


class RetainedStore:
    """The last retained message of each topic, bounded in count and bytes."""

    def __init__(self, max_count: int = RETAINED_COUNT, max_bytes: int = RETAINED_BYTES) -> None:
        self.max_count = max_count
        self.max_bytes = max_bytes
        self.bytes = 0
        self._messages: dict[str, tuple[bytes, int]] = {}
        self._tree: TopicTree[str] = TopicTree()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, topic: str, payload: bytes, qos: int) -> bool:
        """Keep a message (an empty one clears); False when the store is full."""
        old = self._messages.get(topic)
        freed = len(topic) + len(old[0]) if old else 0
        if not payload:
            if old is not None:
                del self._messages[topic]
                self._tree.pop(topic)
                self.bytes -= freed
            return True
        size = len(topic) + len(payload)
        if self.bytes - freed + size > self.max_bytes:
            return False
        if old is None:
            if len(self._messages) >= self.max_count:
                return False
            self._tree.put(topic, topic)
        self._messages[topic] = (payload, qos)
        self.bytes += size - freed
        return True

    def get(self, topic: str) -> tuple[bytes, int] | None:
        """Return (payload, QoS) of a topic."""
        return self._messages.get(topic)

    def topics(self, pattern: str) -> list[str]:
        """Return the topics with a retained message that a filter matches."""
        return self._tree.matching(pattern)

    def replay(self, topics: list[str], granted: int) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield retained messages as they are when their turn comes."""
        for topic in topics:
            message = self._messages.get(topic)
            if message is not None:
                yield topic.encode(), message[0], min(message[1], granted)
