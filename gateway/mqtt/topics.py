"""Who gets a topic: the subscription trie, shared subscriptions, and the cache that spares a look-up.

A cache entry is dropped only when a filter that matches it comes or goes; a tree of the cached topics finds them
without looking at the others.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.mqtt.filters import levels_of
from gateway.mqtt.message import Message
from gateway.mqtt.ports import PublishHandler
from gateway.mqtt.session import MqttSession

NO_LOCAL, AS_PUBLISHED = 4, 8  # options of a subscription, as on the wire (MQTT 5, 3.8.3.1)
CHECKED = 64  # in a mark: ask the access table when an entry is built
IDENTIFIER_SHIFT = 8  # a mark holds the subscription identifier above its options
CACHED_TOPICS = 8192  # ~1 kB each; beyond it the cache starts anew

V = TypeVar("V")
LocalCallback = Callable[[str, bytes, bool], None]


class LocalSubscriber:
    """Code in this process that wants topics; it may read everything."""

    __slots__ = ("callback",)

    def __init__(self, callback: LocalCallback) -> None:
        self.callback = callback


class SharedGroup:
    """Sessions that share one subscription: each message goes to one of them (MQTT 5, 4.8.2).

    They take turns; whoever is connected and keeps up goes before those who are not, so that one dead member
    does not swallow its share while others could work.
    """

    __slots__ = ("_turn", "members", "name", "pattern")

    def __init__(self, name: str, pattern: str) -> None:
        """Begin empty."""
        self.name = name
        self.pattern = pattern
        self.members: dict[MqttSession, int] = {}
        self._turn = 0

    def choose(
        self, message: Message, may: Callable[[MqttSession, int], bool]
    ) -> tuple[MqttSession, int] | None:
        """Return who gets this message, and its mark; `may` says who could."""
        members = list(self.members.items())
        away: tuple[MqttSession, int] | None = None
        for step in range(len(members)):
            session, mark = members[(self._turn + step) % len(members)]
            if not may(session, mark):
                continue
            waiting = session.unfinished + session.queued
            if not session.is_behind and waiting < session.window_for(message):
                self._turn = (self._turn + step + 1) % len(members)
                return session, mark
            if away is None or (away[0].write is None and session.write is not None):
                away = (session, mark)
        self._turn += 1
        return away


Subscriber = MqttSession | LocalSubscriber | SharedGroup


class _Node(Generic[V]):
    __slots__ = ("kids", "value")

    def __init__(self) -> None:
        self.kids: dict[str, _Node[V]] = {}
        self.value: V | None = None


class TopicTree(Generic[V]):
    """Topics (no wildcards) with a value each, searched by filter."""

    def __init__(self) -> None:
        self._root: _Node[V] = _Node()

    def put(self, topic: str, value: V) -> None:
        """Set the value of a topic."""
        node = self._root
        for level in levels_of(topic):
            kid = node.kids.get(level)
            if kid is None:
                kid = node.kids[level] = _Node()
            node = kid
        node.value = value

    def pop(self, topic: str) -> V | None:
        """Remove a topic and the branches that led only to it."""
        path = [self._root]
        levels = levels_of(topic)
        for level in levels:
            kid = path[-1].kids.get(level)
            if kid is None:
                return None
            path.append(kid)
        value, path[-1].value = path[-1].value, None
        _prune(path, levels)
        return value

    def matching(self, pattern: str) -> list[V]:
        """Return the values of the topics that a filter matches."""
        found: list[V] = []
        levels = levels_of(pattern)
        self._collect(self._root, levels, 0, found)
        return found

    def _collect(self, node: _Node[V], levels: list[str], depth: int, found: list[V]) -> None:
        if depth == len(levels):
            if node.value is not None:
                found.append(node.value)
            return
        level = levels[depth]
        if level == "#":
            _everything(node, found, skip_dollar=depth == 0)
        elif level == "+":
            for name, kid in node.kids.items():
                if depth or name[:1] != "$":
                    self._collect(kid, levels, depth + 1, found)
        elif (kid_or_none := node.kids.get(level)) is not None:
            self._collect(kid_or_none, levels, depth + 1, found)


def _everything(node: _Node[V], found: list[V], *, skip_dollar: bool) -> None:
    if node.value is not None:
        found.append(node.value)
    for name, kid in node.kids.items():
        if not (skip_dollar and name[:1] == "$"):
            _everything(kid, found, skip_dollar=False)


def _prune(path: list[_Node[V]], levels: list[str]) -> None:
    for depth in range(len(levels), 0, -1):
        node = path[depth]
        if node.kids or node.value is not None:
            return
        del path[depth - 1].kids[levels[depth - 1]]


Marks = dict[Subscriber, int]
"""Who subscribed with one filter -> QoS and options, CHECKED, identifier << IDENTIFIER_SHIFT."""


class SubscriptionTrie:
    """Filters with their subscribers, searched by topic."""

    def __init__(self) -> None:
        self._root: _Node[Marks] = _Node()

    def add(self, pattern: str, subscriber: Subscriber, mark: int) -> None:
        """Subscribe, or change the mark of a subscription."""
        node = self._root
        for level in levels_of(pattern):
            kid = node.kids.get(level)
            if kid is None:
                kid = node.kids[level] = _Node()
            node = kid
        if node.value is None:
            node.value = {}
        node.value[subscriber] = mark

    def remove(self, pattern: str, subscriber: Subscriber) -> bool:
        """Unsubscribe; False when there was no such subscription."""
        path = [self._root]
        levels = levels_of(pattern)
        for level in levels:
            kid = path[-1].kids.get(level)
            if kid is None:
                return False
            path.append(kid)
        marks = path[-1].value
        if marks is None or subscriber not in marks:
            return False
        del marks[subscriber]
        if not marks:
            path[-1].value = None
            _prune(path, levels)
        return True

    def mark(self, pattern: str, subscriber: Subscriber) -> int:
        """Return the mark of a subscription, 0 when there is none."""
        node = self._root
        for level in levels_of(pattern):
            kid = node.kids.get(level)
            if kid is None:
                return 0
            node = kid
        return (node.value or {}).get(subscriber, 0)

    def has_below(self, first_level: str) -> bool:
        """Return whether a filter begins with this level."""
        return first_level in self._root.kids

    def match(self, topic: str) -> list[Marks]:
        """Return the subscribers of every filter that matches, one dictionary a filter."""
        found: list[Marks] = []
        nodes = [self._root]
        wild = topic[:1] != "$"
        for level in levels_of(topic):
            below: list[_Node[Marks]] = []
            for node in nodes:
                kids = node.kids
                if wild:
                    if (rest := kids.get("#")) is not None and rest.value:
                        found.append(rest.value)
                    if (any_level := kids.get("+")) is not None:
                        below.append(any_level)
                if (exact := kids.get(level)) is not None:
                    below.append(exact)
            wild = True
            nodes = below
        for node in nodes:
            if node.value:
                found.append(node.value)
            if (rest := node.kids.get("#")) is not None and rest.value:
                found.append(rest.value)
        return found


Receiver = tuple[MqttSession, int, bytes]
"""(who, QoS and options, subscription identifiers as encoded properties)."""


class Entry:
    """All that a PUBLISH to one topic needs to know.

    `receivers` is None once the entry is stale.  `plain3` and `plain5` are set where a QoS 0 packet of that
    dialect can be handed on byte for byte, `plain1` where a QoS 1 packet of MQTT 3 needs nothing but a packet id.  `refusal` and `handler` depend on who publishes, so entries that
    have one belong to a single connection; the others are shared.
    """

    __slots__ = (
        "callbacks",
        "groups",
        "handler",
        "is_mesh",
        "may_retain",
        "plain1",
        "plain3",
        "plain5",
        "raw",
        "receivers",
        "refusal",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        receivers: list[Receiver],
        callbacks: tuple[LocalCallback, ...] = (),
        groups: tuple[SharedGroup, ...] = (),
        *,
        may_retain: bool = True,
    ) -> None:
        self.topic = topic
        self.raw = topic.encode()
        self.receivers: list[Receiver] | None = receivers
        self.callbacks = callbacks
        self.groups = groups
        self.may_retain = may_retain
        self.handler: PublishHandler | None = None
        self.is_mesh = False  # rows 1-5: never routed, whatever the handler says
        self.refusal: str | None = None
        self.plain1: list[tuple[MqttSession, int]] | None = None
        self.plain3: list[MqttSession] | None = None
        self.plain5: list[MqttSession] | None = None

    def find_plain(self) -> None:
        """Note to whom a packet can go as it came."""
        assert self.receivers is not None
        if self.callbacks or self.groups:
            return
        if all(s.version < 5 and not options & NO_LOCAL for s, options, _ in self.receivers):
            self.plain3 = [session for session, _, _ in self.receivers]
            if not any(session.sid for session in self.plain3):
                self.plain1 = [
                    (session, options & 3 and 1) for session, options, _ in self.receivers
                ]
        if all(_takes_as_is(receiver) for receiver in self.receivers):
            self.plain5 = [session for session, _, _ in self.receivers]

    def spoil(self) -> None:
        """Mark it stale."""
        self.receivers = self.plain1 = self.plain3 = self.plain5 = None


def _takes_as_is(receiver: Receiver) -> bool:
    session, options, identifiers = receiver
    is_simple = not options & NO_LOCAL and not identifiers
    return (
        is_simple and session.version == 5 and not session.most_bytes and not session.most_aliases
    )


class TopicCache:
    """Shared entries, built on demand by `build`."""

    def __init__(self, build: Callable[[str], Entry]) -> None:
        self._build = build
        self._entries: dict[str, Entry] = {}
        self._tree: TopicTree[Entry] = TopicTree()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, topic: str) -> Entry:
        """Return the entry of a topic, never a stale one."""
        entry = self._entries.get(topic)
        if entry is not None:
            return entry
        entry = self._build(topic)
        if len(self._entries) >= CACHED_TOPICS:
            self.clear()
        self._entries[topic] = entry
        self._tree.put(topic, entry)
        return entry

    def invalidate(self, pattern: str) -> None:
        """Forget the entries that a filter matches."""
        for entry in self._tree.matching(pattern):
            entry.spoil()
            del self._entries[entry.topic]
            self._tree.pop(entry.topic)

    def clear(self) -> None:
        """Forget everything."""
        for entry in self._entries.values():
            entry.spoil()
        self._entries.clear()
        self._tree = TopicTree()
