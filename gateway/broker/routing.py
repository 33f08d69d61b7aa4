"""From a topic to its receivers: trie, cache and retained store together, and the one write per client and tick."""

import asyncio
import logging
from collections.abc import Callable

from gateway.broker.access import may_read
from gateway.mqtt.filters import is_within_limits
from gateway.mqtt.packets import head1, publish0
from gateway.mqtt.retained import RetainedStore
from gateway.mqtt.session import MqttSession
from gateway.mqtt.topics import (
    CHECKED,
    Entry,
    LocalCallback,
    LocalSubscriber,
    Subscriber,
    SubscriptionTrie,
    TopicCache,
)

log = logging.getLogger(__name__)

UNFLUSHED_BYTES = 1 << 20  # input routed before its output is written, within one tick


class Routing:
    """Routes plain topics (rows 6-8 of the topic rules); others never come here."""

    def __init__(self) -> None:
        self.trie = SubscriptionTrie()
        self.retained = RetainedStore()
        self.cache = TopicCache(self._build)
        self.unflushed_bytes = 0
        self.retained_refused = 0
        self._dirty: list[MqttSession] = []
        self._call_soon: Callable[..., object] | None = None

    # ---- writing ----

    def wake(self, session: MqttSession) -> None:
        """Have a session's output written at the end of this loop tick."""
        session.is_dirty = True
        dirty = self._dirty
        if not dirty:
            if self._call_soon is None:
                self._call_soon = asyncio.get_running_loop().call_soon
            self._call_soon(self.flush)
        dirty.append(session)

    def flush(self) -> None:
        """Write what every dirty session has to send."""
        dirty, self._dirty = self._dirty, []
        self.unflushed_bytes = 0
        for session in dirty:
            session.flush()

    def received(self, size: int) -> None:
        """Count input; write early when one tick brings so much that receivers' output would pile up."""
        self.unflushed_bytes += size
        if self.unflushed_bytes > UNFLUSHED_BYTES:
            self.flush()

    # ---- routing ----

    def route(self, entry: Entry, payload: bytes, qos: int) -> None:
        """Send a message to every receiver, QoS min(publisher's, granted), encoded once."""
        receivers = entry.receivers
        if receivers is None:
            entry = self.cache.get(entry.topic)
            receivers = entry.receivers or []
        packet = head = b""
        for session, granted in receivers:
            if qos and granted:
                head = head or head1(entry.raw, len(payload))
                session.send1(head, payload)
            else:
                packet = packet or publish0(entry.raw, payload)
                session.send0(packet)
        for callback in entry.callbacks:
            callback(entry.topic, payload, False)

    def retain(self, topic: str, payload: bytes, qos: int) -> None:
        """Keep the last message of a topic; a full store keeps what it has, and says so."""
        if self.retained.put(topic, payload, qos):
            return
        self.retained_refused += 1
        if self.retained_refused & (self.retained_refused - 1) == 0:  # 1st, 2nd, 4th, 8th ...
            log.warning(
                "retained store is full: message delivered, not kept",
                extra={"topic": topic, "refused": self.retained_refused, "code": "GW-1110"},
            )

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Publish for code in this process."""
        if retain:
            self.retain(topic, payload, qos)
        if is_within_limits(topic):
            self.route(self.cache.get(topic), payload, qos)

    # ---- subscriptions ----

    def subscribe(self, session: MqttSession, pattern: str, qos: int, *, checked: bool) -> None:
        """Put a client's filter into the trie and line up the retained messages it may see."""
        self.trie.add(pattern, session, qos | CHECKED if checked else qos)
        session.subscriptions.add(pattern)
        self.cache.invalidate(pattern)
        topics = self.retained.topics(pattern)
        if checked:
            topics = [topic for topic in topics if may_read(session.principal, topic)]
        if topics:
            session.replays.append(self.retained.replay(topics, qos))

    def unsubscribe(self, session: MqttSession, pattern: str) -> None:
        """Take a client's filter out."""
        session.subscriptions.discard(pattern)
        if self.trie.remove(pattern, session):
            self.cache.invalidate(pattern)

    def forget(self, session: MqttSession) -> None:
        """Take all filters of a session out."""
        for pattern in list(session.subscriptions):
            self.unsubscribe(session, pattern)

    def listen(self, pattern: str, callback: LocalCallback) -> Callable[[], None]:
        """Subscribe code in this process; retained messages come at once."""
        subscriber = LocalSubscriber(callback)
        self.trie.add(pattern, subscriber, 0)
        self.cache.invalidate(pattern)
        for topic in self.retained.topics(pattern):
            if (message := self.retained.get(topic)) is not None:
                callback(topic, message[0], True)

        def end() -> None:
            self.trie.remove(pattern, subscriber)
            self.cache.invalidate(pattern)

        return end

    def _build(self, topic: str) -> Entry:
        granted: dict[Subscriber, int] = {}
        for marks in self.trie.match(topic):
            for subscriber, mark in marks.items():
                if mark & CHECKED:
                    assert isinstance(subscriber, MqttSession)
                    if not may_read(subscriber.principal, topic):
                        continue
                granted[subscriber] = max(granted.get(subscriber, 0), mark & 3)
        sessions = [(who, qos) for who, qos in granted.items() if isinstance(who, MqttSession)]
        callbacks = tuple(who.callback for who in granted if isinstance(who, LocalSubscriber))
        return Entry(topic, sessions, callbacks)
