"""The filters of clients: plain and shared, put into the trie, taken out, and joined to what a topic needs."""

from typing import TYPE_CHECKING

from gateway.broker.access import SHARE, may_read
from gateway.mqtt.journal import KeptSubscription
from gateway.mqtt.packets import length
from gateway.mqtt.session import NO_FILTERS, MqttSession
from gateway.mqtt.topics import (
    AS_PUBLISHED,
    CHECKED,
    IDENTIFIER_SHIFT,
    NO_LOCAL,
    Entry,
    LocalSubscriber,
    Receiver,
    SharedGroup,
    SubscriptionTrie,
)

if TYPE_CHECKING:
    from gateway.broker.routing import Routing

OPTION_BITS = 3 | NO_LOCAL | AS_PUBLISHED


def share_of(pattern: str) -> tuple[str, str] | None:
    """Return (group name, filter) of `$share/<group>/<filter>`, None for other filters (MQTT 5, 4.8.2)."""
    if not pattern.startswith(SHARE):
        return None
    name, _, rest = pattern[len(SHARE) :].partition("/")
    return name, rest


class Subscriptions:
    """Who subscribed to what; a session lists its filters too, so that it can be forgotten."""

    def __init__(self, routing: "Routing") -> None:
        self.trie = SubscriptionTrie()
        self._routing = routing
        self._groups: dict[str, SharedGroup] = {}

    @property
    def shared_count(self) -> int:
        """Return how many shared subscriptions there are, members counted one by one."""
        return sum(len(group.members) for group in self._groups.values())

    def group(self, pattern: str) -> SharedGroup | None:
        """Return the group of a shared filter, if anybody is in it."""
        return self._groups.get(pattern)

    @staticmethod
    def identifiers(mark: int) -> bytes:
        """Return the subscription identifier of a mark as an encoded property."""
        number = mark >> IDENTIFIER_SHIFT
        return b"\x0b" + length(number) if number else b""

    def add(self, session: MqttSession, pattern: str, mark: int) -> int:
        """Put a client's filter into the trie, or change it; return the journal's group to wait for."""
        shared = share_of(pattern)
        if shared is None:
            self.trie.add(pattern, session, mark)
        else:
            group = self._groups.get(pattern)
            if group is None:
                group = self._groups[pattern] = SharedGroup(*shared)
                self.trie.add(group.pattern, group, 0)
            group.members[session] = mark
        if session.subscriptions is NO_FILTERS:
            session.subscriptions = {}
        session.subscriptions[pattern] = mark >> IDENTIFIER_SHIFT
        self._routing.cache.invalidate(shared[1] if shared else pattern)
        if not session.sid:
            return 0
        kept = KeptSubscription(pattern, mark & OPTION_BITS, mark >> IDENTIFIER_SHIFT)
        return self._routing.journal.subscribe(session.sid, kept)

    def mark(self, session: MqttSession, pattern: str) -> int:
        """Return the mark of a subscription, 0 when there is none (or one at QoS 0 without options)."""
        if (group := self._groups.get(pattern)) is not None:
            return group.members.get(session, 0)
        return self.trie.mark(pattern, session)

    def remove(self, session: MqttSession, pattern: str) -> int | None:
        """Take a client's filter out; return the group to wait for, None when there was no such filter."""
        if session.subscriptions.pop(pattern, None) is None:
            return None
        if session.replays:
            session.replays.pop(pattern, None)  # MQTT-3.10.4-2
        shared = share_of(pattern)
        if shared is None:
            self.trie.remove(pattern, session)
        elif (group := self._groups.get(pattern)) is not None:
            group.members.pop(session, None)
            if not group.members:
                del self._groups[pattern]
                self.trie.remove(group.pattern, group)
        self._routing.cache.invalidate(shared[1] if shared else pattern)
        return self._routing.journal.unsubscribe(session.sid, pattern) if session.sid else 0

    def forget(self, session: MqttSession) -> None:
        """Take all filters of a session out; what it never finished of shared ones goes to the other members."""
        patterns = list(session.subscriptions)
        session_sid, session.sid = session.sid, 0  # its journal is dropped as a whole
        for pattern in patterns:
            self.remove(session, pattern)
        session.sid = session_sid
        rest = session.discard()
        for pattern in patterns:
            if rest and pattern.startswith(SHARE):
                self._routing.share_again(pattern, rest)

    def refresh(self, session: MqttSession) -> None:
        """Forget what is cached of a session's topics: its dialect or its limits changed."""
        for pattern in session.subscriptions:
            shared = share_of(pattern)
            self._routing.cache.invalidate(shared[1] if shared else pattern)

    def entry(self, topic: str) -> Entry:
        """Return who gets a topic: each session once, at the highest QoS that its filters grant."""
        found: dict[MqttSession, tuple[int, bytes]] = {}
        callbacks = []
        groups: list[SharedGroup] = []
        for marks in self.trie.match(topic):
            for subscriber, mark in marks.items():
                if isinstance(subscriber, LocalSubscriber):
                    callbacks.append(subscriber.callback)
                elif isinstance(subscriber, SharedGroup):
                    groups.append(subscriber)
                elif not mark & CHECKED or may_read(subscriber.principal, topic):
                    found[subscriber] = self._joined(found.get(subscriber), mark)
        receivers: list[Receiver] = [(who, *how) for who, how in found.items()]
        entry = Entry(topic, receivers, tuple(callbacks), tuple(groups))
        entry.find_plain()
        return entry

    def _joined(self, known: tuple[int, bytes] | None, mark: int) -> tuple[int, bytes]:
        """Join overlapping filters: highest QoS, every identifier, No Local only if all of them say so."""
        options, identifiers = mark & OPTION_BITS, self.identifiers(mark)
        if known is None:
            return options, identifiers
        before, earlier = known
        joined = max(before & 3, options & 3)
        joined |= before & options & NO_LOCAL
        joined |= (before | options) & AS_PUBLISHED
        return joined, earlier + identifiers
