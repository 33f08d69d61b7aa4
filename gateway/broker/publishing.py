"""PUBLISH, PUBACK and PUBREL: table, claim, retained store, receivers, acknowledgement, in this order."""

from typing import TYPE_CHECKING

from gateway.broker.access import MESH_ROWS, Row, Rule, may_publish, row_of
from gateway.broker.connection import Connection
from gateway.model.device import is_uuid
from gateway.mqtt.filters import is_within_limits
from gateway.mqtt.packets import Will, ack, lone_packet_id, malformed, packet_id, topic_name
from gateway.mqtt.ports import (
    CONSUMED,
    ROUTED,
    Consumed,
    Publish,
    PublishHandler,
    Refused,
    Routed,
    Wait,
)
from gateway.mqtt.session import PUBACK_FIRST, PUBREC_FIRST
from gateway.mqtt.topics import Entry

if TYPE_CHECKING:
    from gateway.broker.server import Broker

REMEMBERED_BYTES = 256  # longer topics are judged anew each time instead of being kept
TIMED_OUT = "the mesh did not answer in time"


def on_publish(connection: Connection, data: bytes, first: int, body: int, end: int) -> bool:
    """Handle a PUBLISH that the connection's own fast path did not."""
    cut = body + 2 + (data[body] << 8 | data[body + 1]) if end - body >= 2 else end + 1
    if cut > end:
        raise malformed("a topic longer than its packet")
    raw = data[body + 2 : cut]
    entry = connection.routes.get(raw)
    if entry is None or entry.receivers is None:
        entry = resolve(connection, raw)
    qos = first >> 1 & 3
    if not qos:
        settle = _take(connection, entry, data[cut:end], first & 1)
        return settle is not None and _counted(connection)
    number = packet_id(data, cut, end)
    if qos == 2 and _is_repeated(connection, number):
        return True
    settle = _take(connection, entry, data[cut + 2 : end], first & 1 | qos << 1)
    if settle is None:
        return False
    if qos == 2 and connection.session is not None and not connection.session.take(number, settle):
        raise malformed("QoS 2 messages that are never released")
    kind = PUBACK_FIRST if qos == 1 else PUBREC_FIRST
    connection.acknowledge(ack(kind, number), settle, end - body)
    return _counted(connection)


def _counted(connection: Connection) -> bool:
    connection.broker.messages_in += 1
    return True


def _is_repeated(connection: Connection, number: int) -> bool:
    session = connection.session
    if session is None or not session.is_repeated(number):
        return False
    connection.acknowledge(ack(PUBREC_FIRST, number), session.received[number], 0)
    return True


def _take(connection: Connection, entry: Entry, payload: bytes, flags: int) -> int | None:
    """Handle one message (flags: retain 1, QoS 2 and 4); return its settle number, None: ask again later."""
    broker = connection.broker
    qos = flags >> 1
    if entry.refusal is not None or entry.handler is not None or flags & 1:
        publish = Publish(entry.topic, payload, qos, bool(flags & 1))
        refusal = entry.refusal or _retain_refusal(entry, publish)
        if refusal is not None:
            broker.refuse_publish(connection, publish, refusal)
            return 0
        if entry.handler is not None:
            return _ask(connection, entry, entry.handler, publish)
        broker.routing.retain(entry.topic, payload, min(qos, 1))
    broker.routing.route(entry, payload, qos)
    return 0


def _retain_refusal(entry: Entry, publish: Publish) -> str | None:
    if publish.retain and not entry.may_retain:
        return "a retained command would be done again at every start"
    return None


def _ask(
    connection: Connection, entry: Entry, handler: PublishHandler, publish: Publish
) -> int | None:
    broker = connection.broker
    verdict = handler(connection, publish)
    if isinstance(verdict, Wait):
        if not connection.is_expired:
            broker.park(connection, verdict.key)
            return None
        broker.refuse_publish(connection, publish, TIMED_OUT)
        verdict = CONSUMED
    connection.is_expired = False
    broker.waiting.answered(connection)
    match verdict:
        case Consumed():
            return verdict.settle
        case Refused():
            broker.refused(connection, publish.topic, verdict.reason)
        case Routed() if entry.is_mesh:
            broker.refused(connection, publish.topic, "never routed")
        case Routed():
            if publish.retain:
                broker.routing.retain(publish.topic, publish.payload, min(publish.qos, 1))
            plain = broker.routing.cache.get(publish.topic)
            broker.routing.route(plain, publish.payload, publish.qos)
    return 0


def resolve(connection: Connection, raw: bytes) -> Entry:
    """Return what a topic means for this client, remembered until receivers or access change."""
    topic = topic_name(raw)
    if is_uuid(topic):
        topic = topic.lower()
    entry = judge(connection.broker, connection, topic)
    if entry.refusal is None and len(raw) <= REMEMBERED_BYTES:
        connection.remember(raw, entry)
    return entry


def judge(broker: "Broker", connection: Connection, topic: str) -> Entry:
    """Return the entry of a topic by table and claims."""
    verdict = may_publish(connection.principal, topic)
    if verdict.refusal is not None:
        return _refused(topic, verdict.refusal)
    if not is_within_limits(topic):
        return _refused(topic, "too long or too deep")
    row = row_of(topic)
    handler = broker.claims.find(topic) if verdict.rule is not Rule.UNCLAIMED else None
    if verdict.rule is Rule.MESH:
        handler = broker.claims.uuid_publish
    if handler is None and verdict.rule in {Rule.MESH, Rule.JOB, Rule.OWN_SYNC}:
        return _refused(topic, "nobody takes it")
    if handler is None and verdict.rule is not Rule.WRITE_LIVE:
        return broker.routing.cache.get(topic)
    if handler is None:
        return _live_only(broker.routing.cache.get(topic))
    entry = Entry(topic, [], may_retain=verdict.rule is not Rule.WRITE_LIVE)
    entry.handler = handler
    entry.is_mesh = row in MESH_ROWS or row is Row.REQUEST
    return entry


def _live_only(entry: Entry) -> Entry:
    """Mark a shared entry: nobody but the node may retain on this topic, and the node does not come here."""
    entry.may_retain = False
    return entry


def _refused(topic: str, reason: str) -> Entry:
    entry = Entry(topic, [])
    entry.refusal = reason
    return entry


def on_puback(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PUBACK."""
    number = lone_packet_id(data, body, end)
    if connection.session is not None:
        connection.session.acknowledged(number)
    return True


def on_pubrel(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PUBREL, the third step of QoS 2."""
    number = lone_packet_id(data, body, end)
    if connection.session is not None:
        connection.session.released(number)
    return True


def take_will(connection: Connection, will: Will, entry: Entry) -> None:
    """Publish a will, judged once more: what its client may do can have changed since CONNECT.

    A claim that answers Wait is not asked again: the session it would wait in is over.
    """
    broker = connection.broker
    publish = Publish(entry.topic, will.payload, will.qos, will.retain)
    refusal = entry.refusal or _retain_refusal(entry, publish)
    verdict = entry.handler(connection, publish) if entry.handler and not refusal else ROUTED
    if isinstance(verdict, Refused):
        refusal = verdict.reason
    elif isinstance(verdict, Wait):
        refusal = TIMED_OUT
    if refusal is not None:
        broker.refused(connection, entry.topic, f"will: {refusal}")
    elif isinstance(verdict, Routed) and not entry.is_mesh:
        broker.routing.publish(entry.topic, will.payload, min(will.qos, 1), retain=will.retain)
