"""SUBSCRIBE and UNSUBSCRIBE: every filter judged by the table, uuid filters by the mesh, then all applied at once."""

from collections.abc import Iterator

from gateway.broker.access import SubscribeAs, may_read, may_subscribe
from gateway.broker.connection import Connection
from gateway.broker.routing import Routing
from gateway.broker.subscriptions import share_of
from gateway.model.device import is_uuid
from gateway.mqtt import reasons
from gateway.mqtt.filters import is_valid_filter
from gateway.mqtt.journal import KeptSubscription
from gateway.mqtt.message import Outgoing
from gateway.mqtt.packets import (
    REFUSED_FILTER,
    RETAIN_HANDLING,
    parse_subscribe,
    parse_unsubscribe,
    suback,
    unsuback,
)
from gateway.mqtt.ports import Granted, Principal, Wait
from gateway.mqtt.session import MqttSession
from gateway.mqtt.topics import AS_PUBLISHED, CHECKED, IDENTIFIER_SHIFT, NO_LOCAL

MOST_FILTERS = 1024  # per session, in the trie
KEEP_OPTIONS = 3 | NO_LOCAL | AS_PUBLISHED
ONLY_WHEN_NEW, NEVER = 1, 2  # retain handling


def on_subscribe(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle SUBSCRIBE; nothing is applied while one of its filters waits for the mesh."""
    number, wanted, identifier = parse_subscribe(data, body, end, connection.version)
    wanted = [(normal(pattern), options) for pattern, options in wanted]
    verdicts = [may_subscribe(connection.principal, pattern) for pattern, _ in wanted]
    answers: dict[str, int] = {}
    for (pattern, options), verdict in zip(wanted, verdicts, strict=True):
        if verdict is SubscribeAs.MESH:
            answer = ask(connection, pattern, min(options & 3, 1))
            if answer is None:
                return False
            answers[pattern] = answer
    connection.is_expired = False
    connection.broker.waiting.answered(connection)
    routing, session = connection.broker.routing, connection.session
    assert session is not None, "SUBSCRIBE comes after CONNECT"
    routing.noted = 0
    codes = bytes(
        answers[pattern]
        if pattern in answers
        else _apply(connection, pattern, options | identifier << IDENTIFIER_SHIFT, verdict)
        for (pattern, options), verdict in zip(wanted, verdicts, strict=True)
    )
    if connection.version < 5:
        codes = bytes(min(code, REFUSED_FILTER) for code in codes)
    connection.acknowledge(suback(number, codes, connection.version), 0, routing.noted, 0)
    if not session.acks:
        session.pump()  # retained messages follow their SUBACK
    return True


def normal(pattern: str) -> str:
    """Return a filter in the one spelling used inside."""
    return pattern.lower() if is_uuid(pattern) else pattern


def ask(connection: Connection, pattern: str, qos: int) -> int | None:
    """Ask the mesh for a uuid filter; None: it waits, and the packet with it."""
    broker = connection.broker
    handler = broker.claims.uuid_subscribe
    answer = handler(connection, pattern, qos) if handler is not None else Granted(REFUSED_FILTER)
    if isinstance(answer, Wait):
        if not connection.is_expired:
            broker.park(connection, answer.key)
            return None
        answer = Granted(REFUSED_FILTER)
    session = connection.session
    if answer.qos == REFUSED_FILTER:
        broker.refused(connection, pattern, "subscription refused by the mesh")
        return reasons.NOT_AUTHORIZED
    if session is not None:
        session.claimed = session.claimed or {}
        session.claimed[pattern] = qos
        if session.sid:
            broker.journal.subscribe(session.sid, KeptSubscription(pattern, qos))
    return answer.qos


def _apply(connection: Connection, pattern: str, wanted: int, verdict: SubscribeAs) -> int:
    broker, session = connection.broker, connection.session
    assert session is not None
    if verdict is SubscribeAs.PUSHED:
        return 0
    if verdict is SubscribeAs.REFUSED:
        broker.refused(connection, pattern, "subscription refused")
        shared = share_of(pattern)
        is_valid = is_valid_filter(shared[1] if shared else pattern)
        return reasons.NOT_AUTHORIZED if is_valid else reasons.TOPIC_FILTER_INVALID
    is_new = pattern not in session.subscriptions
    if is_new and len(session.subscriptions) >= MOST_FILTERS:
        broker.refused(connection, pattern, "too many subscriptions")
        return reasons.QUOTA_EXCEEDED
    broker.before_replay(pattern)
    mark = wanted & ~(0xFF & ~KEEP_OPTIONS)
    if verdict is SubscribeAs.CHECKED:
        mark |= CHECKED
    routing = broker.routing
    routing.noted = max(routing.noted, routing.subscriptions.add(session, pattern, mark))
    handling = (wanted & RETAIN_HANDLING) >> 4
    if not (handling == NEVER or (handling == ONLY_WHEN_NEW and not is_new)):
        _line_up(connection, pattern, mark)
    return mark & 3


def _line_up(connection: Connection, pattern: str, mark: int) -> None:
    """Line up the retained messages that a new subscription may see; shared ones see none (MQTT 5, 4.8.2).

    They are looked up when their turn comes, and a filter stands in line once: subscribing costs no search.
    """
    routing, session = connection.broker.routing, connection.session
    assert session is not None
    if share_of(pattern) is not None or not len(routing.retained):
        return
    session.replays = session.replays or {}
    session.replays.pop(pattern, None)
    identifiers = routing.subscriptions.identifiers(mark)
    reader = session.principal if mark & CHECKED else None
    session.replays[pattern] = _retained(routing, pattern, reader, (mark & 3, identifiers))


def _retained(
    routing: Routing, pattern: str, reader: Principal | None, how: tuple[int, bytes]
) -> Iterator[Outgoing]:
    topics = routing.retained.topics(pattern)
    if reader is not None:
        topics = [topic for topic in topics if may_read(reader, topic)]
    yield from routing.retained.replay(topics, *how, routing.now)


def on_unsubscribe(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle UNSUBSCRIBE; unknown filters are acknowledged too."""
    number, filters = parse_unsubscribe(data, body, end, connection.version)
    session = connection.session
    assert session is not None, "UNSUBSCRIBE comes after CONNECT"
    group = 0
    codes = bytearray()
    for pattern in map(normal, filters):
        waits = _remove(connection, session, pattern)
        group = max(group, waits or 0)
        codes.append(0 if waits is not None else reasons.NO_SUBSCRIPTION_EXISTED)
    answer = unsuback(number, bytes(codes), connection.version)
    connection.acknowledge(answer, 0, group, 0)
    return True


def _remove(connection: Connection, session: MqttSession, pattern: str) -> int | None:
    broker = connection.broker
    if session.claimed and session.claimed.pop(pattern, None) is not None:
        if broker.claims.uuid_unsubscribe is not None:
            broker.claims.uuid_unsubscribe(connection, pattern)
        return broker.journal.unsubscribe(session.sid, pattern) if session.sid else 0
    return broker.routing.subscriptions.remove(session, pattern)
