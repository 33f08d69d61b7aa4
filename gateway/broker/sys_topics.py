"""`$SYS/broker/...` as mosquitto 2 names it, kept current only while somebody looks (row 6 of the topic rules guards it).

The values are retained in memory and never in the journal.  Where the two brokers count differently: `messages/sent`
counts PUBLISH packets (ours does not count acknowledgements), `heap` is the whole process, and `store/messages` are
retained and queued messages.
"""

import resource
from typing import TYPE_CHECKING

from gateway.broker.load import Load
from gateway.mqtt.filters import is_within_limits
from gateway.mqtt.message import Message
from gateway.runtime.metrics import resident_bytes

if TYPE_CHECKING:
    from gateway.broker.server import Broker

EVERY_S = 10.0
PREFIX = "$SYS/broker/"

COUNTED = {
    "clients/connected": "clients",
    "clients/active": "clients",
    "clients/disconnected": "kept_sessions",
    "clients/inactive": "kept_sessions",
    "clients/maximum": "most_clients",
    "clients/expired": "expired_sessions",
    "messages/received": "packets_in",
    "messages/sent": "messages_out",
    "messages/inflight": "inflight",
    "publish/messages/received": "messages_in",
    "publish/messages/sent": "messages_out",
    "publish/messages/dropped": "dropped",
    "bytes/received": "bytes_in",
    "bytes/sent": "bytes_out",
    "subscriptions/count": "subscriptions",
    "shared_subscriptions/count": "shared_subscriptions",
    "retained messages/count": "retained",
}
"""Topic below the prefix -> statistic."""

OTHERS = {
    "version": "Program and version.",
    "uptime": "Seconds since the start.",
    "clients/total": "Sessions, with a client or without.",
    "messages/stored": "Retained and queued messages.",
    "store/messages/count": "Retained and queued messages.",
    "store/messages/bytes": "Bytes of them.",
    "heap/current": "Memory of the whole process, in bytes.",
    "heap/maximum": "The most it ever was.",
}
"""Topic below the prefix -> what is on it; these are no plain statistic."""

LOADS = {
    "load/messages/received": "packets_in",
    "load/messages/sent": "messages_out",
    "load/publish/received": "messages_in",
    "load/publish/sent": "messages_out",
    "load/publish/dropped": "dropped",
    "load/bytes/received": "bytes_in",
    "load/bytes/sent": "bytes_out",
    "load/sockets": "sockets",
    "load/connections": "connects",
}
"""Topic below the prefix (and `/1min`, `/5min`, `/15min` behind it) -> statistic, a minute."""

LEFT_OUT = {
    "publish/bytes/received": "counting payloads apart from packets would cost on every message",
    "publish/bytes/sent": "counting payloads apart from packets would cost on every message",
}
"""What mosquitto 2 has and we do not -> why."""


class SysTopics:
    """Publishes the broker's own state as retained messages."""

    def __init__(self, broker: "Broker", version: str) -> None:
        self._broker = broker
        self._version = version
        self._started = broker.now()
        self._due = 0.0
        self._load = Load(self._started)

    def tick(self, now: float) -> None:
        """Publish when it is time and somebody subscribed."""
        if now < self._due or not self._broker.routing.trie.has_below("$SYS"):
            return
        self._due = now + EVERY_S
        routing = self._broker.routing
        for message in self._messages(now):
            routing.retained.put(message)
            if is_within_limits(message.topic):
                routing.route(routing.cache.get(message.topic), message)

    def before_replay(self, pattern: str) -> None:
        """Refresh the retained values for a new subscriber."""
        if pattern.startswith("$SYS"):
            for message in self._messages(self._broker.now()):
                self._broker.routing.retained.put(message)

    def _messages(self, now: float) -> list[Message]:
        topics = [(PREFIX + name, value) for name, value in self._values(now)]
        return [Message(t, t.encode(), value.encode(), retain=True) for t, value in topics]

    def _values(self, now: float) -> list[tuple[str, str]]:
        stats = self._broker.stats()
        self._load.take({topic: stats[name] for topic, name in LOADS.items()}, now)
        stored = int(stats["retained"] + stats["queued"])
        return [
            ("version", f"gateway {self._version}".strip()),
            ("uptime", f"{int(now - self._started)} seconds"),
            *((topic, str(int(stats[name]))) for topic, name in COUNTED.items()),
            ("clients/total", str(int(stats["clients"] + stats["kept_sessions"]))),
            ("messages/stored", str(stored)),
            ("store/messages/count", str(stored)),
            ("store/messages/bytes", str(int(stats["retained_bytes"] + stats["queued_bytes"]))),
            ("heap/current", str(resident_bytes())),
            ("heap/maximum", str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)),
            *self._load.averages(),
        ]
