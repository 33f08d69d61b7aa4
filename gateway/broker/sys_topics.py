"""`$SYS/broker/...`: a few values, kept current only while somebody looks (row 6 of the topic rules guards them)."""

from typing import TYPE_CHECKING

from gateway.mqtt.message import Message

if TYPE_CHECKING:
    from gateway.broker.server import Broker

EVERY_S = 10.0
PREFIX = "$SYS/broker/"


class SysTopics:
    """Publishes the broker's own state as retained messages."""

    def __init__(self, broker: "Broker", version: str) -> None:
        self._broker = broker
        self._version = version
        self._started = broker.now()
        self._due = 0.0

    def tick(self, now: float) -> None:
        """Publish when it is time and somebody subscribed."""
        if now < self._due or not self._broker.routing.trie.has_below("$SYS"):
            return
        self._due = now + EVERY_S
        for topic, value in self._values(now):
            self._broker.publish(topic, value.encode(), retain=True)

    def before_replay(self, pattern: str) -> None:
        """Refresh the retained values for a new subscriber."""
        if pattern.startswith("$SYS"):
            for topic, value in self._values(self._broker.now()):
                self._broker.routing.retained.put(Message(topic, topic.encode(), value.encode()))

    def _values(self, now: float) -> list[tuple[str, str]]:
        stats = self._broker.stats()
        return [
            (f"{PREFIX}version", f"gateway {self._version}".strip()),
            (f"{PREFIX}uptime", f"{int(now - self._started)} seconds"),
            (f"{PREFIX}clients/connected", str(int(stats["clients"]))),
            (f"{PREFIX}messages/received", str(int(stats["messages_in"]))),
            (f"{PREFIX}messages/sent", str(int(stats["messages_out"]))),
        ]
