"""What holds in a broker at every moment, whatever its clients do: its books agree with each other."""

from collections import Counter

from gateway.broker.server import Broker
from gateway.mqtt.backlog import size_of
from gateway.mqtt.session import MqttSession
from gateway.mqtt.topics import Entry, SharedGroup

PLAIN = tuple(name for name in Entry.__slots__ if name.startswith("plain"))


def sessions_of(broker: Broker) -> set[MqttSession]:
    """Return every session, live and kept."""
    live = {one.session for one in broker.connections if one.session is not None}
    return live | {session for session, _ in broker.registry.kept.values()}


def check(broker: Broker) -> None:
    """Fail where two books differ."""
    sessions = sessions_of(broker)
    for session in sessions:
        check_session(broker, session)
    used_bytes = sum(session.queued_bytes for session in sessions)
    assert used_bytes == broker.routing.bounds.used_bytes
    assert broker.routing.held <= sessions
    check_connections(broker)
    check_filters(broker, sessions)
    check_cache(broker)


def check_session(broker: Broker, session: MqttSession) -> None:
    """Check what waits for one client."""
    waiting = list(session.unsent or ())
    assert sum(size_of(outgoing) for _, _, outgoing in waiting) == session.queued_bytes
    ids = [number for number, _, _ in waiting]
    assert set(session.again or ()) <= set(ids)
    ids += [*session.inflight, *(session.released or ())]
    assert len(ids) == len(set(ids)), f"a packet id twice: {sorted(ids)}"
    assert session.unacked_bytes == sum(size for _, _, _, size in session.acks)
    has_room = session.write is not None and not session.is_behind
    if waiting and has_room and session.unfinished < session.window:
        assert waiting[0][1] > broker.journal.through, "what could be sent is not"
        assert session in broker.routing.held, "nobody will send what waits for the disk"


def check_connections(broker: Broker) -> None:
    """Check who waits for answers, and who is put aside."""
    connections = set(broker.connections)
    assert broker.unsettled <= connections
    for one in connections:
        assert one.session is None or not one.session.acks or one in broker.unsettled
    assert sum(broker.by_listener.values()) == broker.sockets == len(connections)
    registry = broker.registry
    by_identity = [key for mine in registry._kept_keys.values() for key in mine]
    assert sorted(by_identity) == sorted(registry.kept)
    assert not set(registry.kept) & set(registry.live)


def check_filters(broker: Broker, sessions: set[MqttSession]) -> None:
    """Check the trie and the groups against the lists of the sessions."""
    subscriptions = broker.routing.subscriptions
    found: Counter[tuple[str, object]] = Counter()
    nodes = [(subscriptions.trie._root, "")]
    while nodes:
        node, path = nodes.pop()
        assert node.value or node.value is None, f"nobody subscribed to {path[1:]}"
        assert node.value or node.kids or not path, f"an empty node at {path[1:]}"
        found.update((path[1:], subscriber) for subscriber in node.value or ())
        nodes += [(kid, f"{path}/{level}") for level, kid in node.kids.items()]
    wanted: set[tuple[str, object]] = set()
    for session in sessions:
        for pattern in session.subscriptions:
            group = subscriptions.group(pattern)
            assert group is None or session in group.members
            assert (group is not None) is pattern.startswith("$share/")
            wanted.add((pattern, session) if group is None else (group.pattern, group))
    assert found == Counter(wanted)
    for subscriber in {subscriber for _, subscriber in found}:
        assert not isinstance(subscriber, SharedGroup) or set(subscriber.members) <= sessions


def check_cache(broker: Broker) -> None:
    """Check what is cached of topics against what a new look finds."""
    for topic, entry in broker.routing.cache._entries.items():
        fresh = broker.routing.subscriptions.entry(topic)
        assert receivers(entry) == receivers(fresh)
        assert set(entry.groups) == set(fresh.groups)
        for name in PLAIN:
            cached, found = getattr(entry, name), getattr(fresh, name)
            assert (cached is None) is (found is None), f"{name} of {topic}"
            assert set(cached or ()) == set(found or ()), f"{name} of {topic}"


def receivers(entry: Entry) -> set[tuple[MqttSession, int, bytes]]:
    """Return who gets a topic, and how, in any order."""
    assert entry.receivers is not None, f"a stale entry of {entry.topic}"
    return {
        (session, options, bytes(sorted(identifiers)))
        for session, options, identifiers in entry.receivers
    }
