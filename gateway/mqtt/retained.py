"""The last retained message of each topic; full, it keeps what it has and refuses what is new."""

from collections.abc import Callable, Iterator

from gateway.mqtt.message import RETAIN_FLAG, Message, Outgoing
from gateway.mqtt.topics import TopicTree

RETAINED_COUNT = 10_000
RETAINED_BYTES = 16 << 20


class RetainedStore:
    """The last retained message of each topic, bounded in count and bytes."""

    def __init__(self, max_count: int = RETAINED_COUNT, max_bytes: int = RETAINED_BYTES) -> None:
        self.max_count = max_count
        self.max_bytes = max_bytes
        self.bytes = 0
        self._messages: dict[str, Message] = {}
        self._kept_at: dict[str, float] = {}  # for operators; what a restart brought has no time
        self._tree: TopicTree[str] = TopicTree()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message, at: float | None = None) -> bool:
        """Keep a message that came at a time (an empty one clears); False when the store is full."""
        topic = message.topic
        old = self._messages.get(topic)
        freed = _size(old) if old else 0
        if not message.payload:
            if old is not None:
                del self._messages[topic]
                self._kept_at.pop(topic, None)
                self._tree.pop(topic)
                self.bytes -= freed
            return True
        size = _size(message)
        if self.bytes - freed + size > self.max_bytes:
            return False
        if old is None:
            if len(self._messages) >= self.max_count:
                return False
            self._tree.put(topic, topic)
        self._messages[topic] = message
        if at is not None:
            self._kept_at[topic] = at
        self.bytes += size - freed
        return True

    def get(self, topic: str) -> Message | None:
        """Return the message of a topic."""
        return self._messages.get(topic)

    def kept_at(self, topic: str) -> float | None:
        """Return when the message of a topic came, None where that is not known."""
        return self._kept_at.get(topic)

    def all(self) -> Iterator[Message]:
        """Yield every message."""
        yield from list(self._messages.values())

    def topics(self, pattern: str) -> list[str]:
        """Return the topics with a retained message that a filter matches."""
        return self._tree.matching(pattern)

    def replay(
        self, topics: list[str], granted: int, identifiers: bytes, now: Callable[[], float]
    ) -> Iterator[Outgoing]:
        """Yield retained messages as they are when their turn comes; what has expired is not sent."""
        for topic in topics:
            message = self._messages.get(topic)
            if message is None or (message.expires_at is not None and message.expires_at <= now()):
                continue
            yield message, min(message.qos, granted) | RETAIN_FLAG, identifiers

    def expired(self, now: float) -> list[str]:
        """Return the topics whose message has outlived itself."""
        return [
            topic
            for topic, message in self._messages.items()
            if message.expires_at is not None and message.expires_at <= now
        ]


def _size(message: Message) -> int:
    return len(message.raw) + len(message.payload) + len(message.properties)
