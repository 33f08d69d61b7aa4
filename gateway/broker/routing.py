"""From a topic to its receivers: trie, cache and retained store together, and the one write per client and tick."""

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.broker.access import may_read
from gateway.broker.subscriptions import Subscriptions
from gateway.mqtt.filters import is_within_limits
from gateway.mqtt.journal import Journal, Target
from gateway.mqtt.message import RETAIN_FLAG, Message, Outgoing, SharedOutgoing
from gateway.mqtt.outbound import Outbound
from gateway.mqtt.queues import QueueBounds
from gateway.mqtt.retained import RetainedStore
from gateway.mqtt.session import MqttSession
from gateway.mqtt.topics import (
    AS_PUBLISHED,
    CHECKED,
    NO_LOCAL,
    Entry,
    LocalCallback,
    LocalSubscriber,
    SharedGroup,
    TopicCache,
)

log = logging.getLogger(__name__)

MOST_BACKLOG = (
    16 << 20
)  # noted and not on disk, in bytes: then all readers rest until half of it is


class Routing:
    """Routes plain topics (rows 6-8 of the topic rules); others never come here.  The `Host` of all sessions."""

    def __init__(
        self,
        journal: Journal,
        bounds: QueueBounds | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.journal = journal
        self.bounds = bounds or QueueBounds()
        self.now = now
        self.retained = RetainedStore()
        self.cache = TopicCache(self._build)
        self.subscriptions = Subscriptions(self)
        self.trie = self.subscriptions.trie
        self.noted = 0  # group of the journal that the publish at hand must wait for
        self.on_backlog: Callable[[bool], None] = lambda _: None  # told when the disk is far behind
        self.is_behind = False
        self.held: set[Outbound] = set()  # with deliveries that wait for the disk
        self.unflushed_bytes = 0  # input since the last flush
        self.retained_refused = 0
        self.is_calm = False
        self.read_at = 0.0
        self._dirty: list[Outbound] = []
        self._call_soon: Callable[..., object] | None = None

    # ---- writing ----

    def wake(self, session: Outbound) -> None:
        """Have a session's output written at the end of this loop tick."""
        session.is_dirty = True
        dirty = self._dirty
        if not dirty and not self.is_calm:
            if self._call_soon is None:
                self._call_soon = asyncio.get_running_loop().call_soon
            self._call_soon(self.flush)
        dirty.append(session)

    def calm_over(self) -> None:
        """Write what one read in a calm time brought: no burst is to be expected that could share the write."""
        self.is_calm = False
        if self._dirty:
            self.flush()

    def flush(self) -> None:
        """Write what every dirty session has to send."""
        dirty, self._dirty = self._dirty, []
        self.unflushed_bytes = 0
        for session in dirty:
            session.flush()

    def durable(self) -> None:
        """Send what waited for the disk, after a commit."""
        if self.is_behind and self.journal.backlog_bytes < MOST_BACKLOG // 2:
            self.is_behind = False
            self.on_backlog(False)
        held, self.held = self.held, set()
        for session in held:
            session.pump()

    # ---- routing ----

    def route(self, entry: Entry, message: Message) -> None:
        """Send a message to every receiver at QoS min(publisher's, granted); `noted` says what its ack waits for."""
        if entry.receivers is None:
            entry = self.cache.get(entry.topic)
        targets: list[Target] = []
        qos = message.qos
        last: Outgoing = (message, -1, b"")
        packet3 = b""  # of `last`, for all who speak MQTT 3
        for session, options, identifiers in entry.receivers or ():
            if options & NO_LOCAL and session is message.origin:
                continue
            flags = min(options & 3, qos)
            if options & AS_PUBLISHED and message.retain:
                flags |= RETAIN_FLAG
            if last[1] != flags or last[2] != identifiers:
                last = (message, flags, identifiers)
                packet3 = b""
            if flags & 3:
                if session.sid:
                    self._send(session, last, targets)
                else:
                    session.send(last)
            elif session.version == 5 or session.is_behind:
                session.send_plain(last)
            else:
                packet3 = packet3 or session.packet(last, b"", is_dup=False)
                session.send0(packet3)
        if entry.groups or entry.callbacks or targets:
            self._route_rest(entry, message, targets)
        message.origin = None  # what is kept of a message must not keep its publisher's session

    def _route_rest(self, entry: Entry, message: Message, targets: list[Target]) -> None:
        for group in entry.groups:
            self._share(group, message, targets)
        if targets:
            self._note(message, targets)
        for callback in entry.callbacks:
            callback(entry.topic, message.payload, False)

    def _send(self, session: MqttSession, outgoing: Outgoing, targets: list[Target]) -> None:
        if not session.sid:
            session.send(outgoing)
            return
        packet_id = session.enqueue(outgoing, self.journal.number)
        if packet_id:
            targets.append((session.sid, packet_id, outgoing[1], outgoing[2]))
            self.held.add(session)

    def _share(self, group: SharedGroup, message: Message, targets: list[Target]) -> None:
        def may(session: MqttSession, mark: int) -> bool:
            return not mark & CHECKED or may_read(session.principal, message.topic)

        chosen = group.choose(message, may)
        if chosen is None:
            return
        session, mark = chosen
        flags = min(mark & 3, message.qos)
        if mark & AS_PUBLISHED and message.retain:
            flags |= RETAIN_FLAG
        outgoing = SharedOutgoing((message, flags, self.subscriptions.identifiers(mark)))
        outgoing.group = group
        if outgoing[1] & 3:
            self._send(session, outgoing, targets)
        else:
            session.send_plain(outgoing)

    def _note(self, message: Message, targets: list[Target]) -> None:
        self.noted = self.journal.enqueue(message, targets)
        if self.journal.backlog_bytes > MOST_BACKLOG and not self.is_behind:
            self.is_behind = True
            self.on_backlog(True)
        if self.noted <= self.journal.through:
            self.durable()

    def hand_over(self, session: MqttSession, outgoing: Outgoing) -> bool:
        """Send one message to one session, past the trie; False when it is gone or too far behind."""
        if not outgoing[1] & 3:
            return session.send_plain(outgoing)
        if not session.sid:
            return session.send(outgoing)
        targets: list[Target] = []
        self._send(session, outgoing, targets)
        if targets:
            self._note(outgoing[0], targets)
        return bool(targets)

    def share_again(self, pattern: str, rest: list[Outgoing]) -> None:
        """Give what a member of a shared subscription never finished to the others (MQTT 5, 4.8.2)."""
        group = self.subscriptions.group(pattern)
        if group is None or not group.members:
            return
        targets: list[Target] = []
        for outgoing in rest:
            is_shared = isinstance(outgoing, SharedOutgoing) and outgoing.group is group
            if (
                is_shared and outgoing[1] & 3 == 1
            ):  # QoS 2 never: the client may have it (MQTT-4.8.2-5)
                self._share(group, outgoing[0], targets)
                if targets:
                    self._note(outgoing[0], targets)
                    targets = []

    def retain(self, message: Message, *, is_node: bool = False) -> bool:
        """Keep the last message of a topic; a full store keeps what it has, and says so."""
        if self.retained.put(message, self.now()):
            if message.topic[:1] != "$":  # the broker's own state is made anew by each process
                self.noted = max(self.noted, self.journal.retain(message, is_node=is_node))
            return True
        self.retained_refused += 1
        if self.retained_refused & (self.retained_refused - 1) == 0:  # 1st, 2nd, 4th, 8th ...
            log.warning(
                "retained store is full: message delivered, not kept",
                extra={"topic": message.topic, "refused": self.retained_refused, "code": "GW-1110"},
            )
        return False

    def forget_expired(self, now: float) -> None:
        """Clear retained messages that have outlived themselves (MQTT 5, 3.3.2.3.3)."""
        for topic in self.retained.expired(now):
            self.retain(Message(topic, topic.encode(), b""))

    def publish(self, message: Message, *, is_node: bool = False) -> None:
        """Publish for code in this process."""
        if message.retain:
            self.retain(message, is_node=is_node)
        if is_within_limits(message.topic):
            self.route(self.cache.get(message.topic), message)

    def listen(self, pattern: str, callback: LocalCallback) -> Callable[[], None]:
        """Subscribe code in this process; retained messages come at once."""
        subscriber = LocalSubscriber(callback)
        self.trie.add(pattern, subscriber, 0)
        self.cache.invalidate(pattern)
        for topic in self.retained.topics(pattern):
            if (message := self.retained.get(topic)) is not None:
                callback(topic, message.payload, True)

        def end() -> None:
            self.trie.remove(pattern, subscriber)
            self.cache.invalidate(pattern)

        return end

    def _build(self, topic: str) -> Entry:
        return self.subscriptions.entry(topic)
