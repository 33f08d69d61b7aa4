"""SUBSCRIBE and UNSUBSCRIBE: every filter judged by the table, uuid filters by the mesh, then all applied at once."""

from gateway.broker.access import SubscribeAs, may_subscribe
from gateway.broker.connection import Connection
from gateway.broker.routing import Routing
from gateway.model.device import is_uuid
from gateway.mqtt.packets import REFUSED_FILTER, ack, parse_subscribe, parse_unsubscribe, suback
from gateway.mqtt.ports import Granted, Wait
from gateway.mqtt.session import MqttSession
from gateway.mqtt.topics import CHECKED

MOST_FILTERS = 1024  # per session, in the trie


def on_subscribe(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle SUBSCRIBE; nothing is applied while one of its filters waits for the mesh."""
    number, wanted, _ = parse_subscribe(data, body, end, 4)
    wanted = [(normal(pattern), min(qos, 1)) for pattern, qos in wanted]
    verdicts = [may_subscribe(connection.principal, pattern) for pattern, _ in wanted]
    answers: dict[str, int] = {}
    for (pattern, qos), verdict in zip(wanted, verdicts, strict=True):
        if verdict is SubscribeAs.MESH and (answer := ask(connection, pattern, qos)) is not None:
            answers[pattern] = answer
        elif verdict is SubscribeAs.MESH:
            return False
    connection.is_expired = False
    connection.broker.waiting.answered(connection)
    codes = bytes(
        answers[pattern] if pattern in answers else _apply(connection, pattern, qos, verdict)
        for (pattern, qos), verdict in zip(wanted, verdicts, strict=True)
    )
    if connection.session is not None:
        connection.session.answer(suback(number, codes))
        connection.session.pump()  # retained messages follow their SUBACK
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
    if answer.qos == REFUSED_FILTER:
        broker.refused(connection, pattern, "subscription refused by the mesh")
    elif connection.session is not None:
        connection.session.claimed[pattern] = qos
    return answer.qos


def _apply(connection: Connection, pattern: str, qos: int, verdict: SubscribeAs) -> int:
    broker, session = connection.broker, connection.session
    if verdict is SubscribeAs.PUSHED:
        return 0
    if session is None or verdict is SubscribeAs.REFUSED:
        broker.refused(connection, pattern, "subscription refused")
        return REFUSED_FILTER
    if len(session.subscriptions) >= MOST_FILTERS and pattern not in session.subscriptions:
        broker.refused(connection, pattern, "too many subscriptions")
        return REFUSED_FILTER
    broker.before_replay(pattern)
    broker.routing.subscribe(session, pattern, qos, checked=verdict is SubscribeAs.CHECKED)
    return qos


def on_unsubscribe(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle UNSUBSCRIBE; unknown filters are acknowledged too."""
    number, filters = parse_unsubscribe(data, body, end, 4)
    broker, session = connection.broker, connection.session
    if session is None:
        return True
    for pattern in map(normal, filters):
        if session.claimed.pop(pattern, None) is None:
            broker.routing.unsubscribe(session, pattern)
        elif broker.claims.uuid_unsubscribe is not None:
            broker.claims.uuid_unsubscribe(connection, pattern)
    session.answer(ack(0xB0, number))
    return True


def judge_again(routing: Routing, session: MqttSession) -> None:
    """Judge the filters of a kept session by what its owner may do today."""
    for pattern in list(session.subscriptions):
        qos = routing.trie.mark(pattern, session) & 3
        verdict = may_subscribe(session.principal, pattern)
        if verdict is SubscribeAs.OPEN or verdict is SubscribeAs.CHECKED:
            mark = qos | CHECKED if verdict is SubscribeAs.CHECKED else qos
            routing.trie.add(pattern, session, mark)
            routing.cache.invalidate(pattern)
        else:
            routing.unsubscribe(session, pattern)
