"""PUBLISH and its acknowledgements: table, claim, retained store, receivers, acknowledgement, in this order."""

from gateway.broker.connection import Connection
from gateway.broker.judging import live_refusal, resolve
from gateway.broker.limits import ALIASES_IN
from gateway.broker.quick import NO_PACKET_ID, PUBACK_HEAD
from gateway.mqtt import reasons
from gateway.mqtt.filters import MAX_TOPIC_BYTES
from gateway.mqtt.message import Message
from gateway.mqtt.packets import ack, packet_id, parse_ack
from gateway.mqtt.ports import (
    CONSUMED,
    Consumed,
    Publish,
    PublishHandler,
    Refused,
    Routed,
    Wait,
)
from gateway.mqtt.properties import NO_PROPERTIES, PublishProperties, parse_publish
from gateway.mqtt.reasons import violation
from gateway.mqtt.session import (
    PUBACK_FIRST,
    PUBCOMP_FIRST,
    PUBREC_FIRST,
    PUBREL_FIRST,
    RECEIVE_MAXIMUM,
    MqttSession,
)
from gateway.mqtt.topics import Entry

TIMED_OUT = "the mesh did not answer in time"

Taken = int | None
"""What became of a publish: its settle number (0: nothing to settle), -reason when refused, None: ask again."""
REFUSED = -reasons.NOT_AUTHORIZED


def on_publish(connection: Connection, data: bytes, first: int, body: int, end: int) -> bool:
    """Handle a PUBLISH that the connection's own fast path did not."""
    at = body + 2 + (data[body] << 8 | data[body + 1]) if end - body >= 2 else end + 1
    if at > end:
        raise violation("a topic longer than its packet")
    raw = data[body + 2 : at]
    if (
        first == 0x32
        and connection.version < 5
        and _took_plain(connection, data, raw, (body, at, end))
    ):
        return True
    qos = first >> 1 & 3
    number = 0
    if qos:
        number = packet_id(data, at, end)
        at += 2
    said = NO_PROPERTIES
    if connection.version == 5:
        if at < end and not data[at]:
            at += 1
        else:
            said, at = parse_publish(data, at, end)
        if said.alias or not raw:
            raw = _aliased(connection, raw, said.alias)
    entry = connection.routes.get(raw)
    if entry is None or entry.receivers is None:
        entry = resolve(connection, raw)
    if not qos:
        taken = _take(connection, entry, data[at:end], first & 1, said)
    else:
        taken = _take_numbered(connection, entry, data[at:end], (first & 7, number), said)
    if taken is None:
        return False
    connection.broker.messages_in += 1
    return True


def _took_plain(
    connection: Connection, data: bytes, raw: bytes, places: tuple[int, int, int]
) -> bool:
    """Handle a QoS 1 PUBLISH of MQTT 3 that only its receivers are special about (kept sessions, MQTT 5); False: the long way.

    What even these are not is handled before, by `quick`.
    """
    body, at, end = places
    entry, session = connection.routes.get(raw), connection.session
    if entry is None or entry.handler is not None or entry.receivers is None or session is None:
        return False
    number = data[at : at + 2]
    if (
        len(number) < 2
        or at + 2 > end
        or number == NO_PACKET_ID
        or session.acks
        or session.received
    ):
        return False
    message = Message(entry.topic, entry.raw, data[at + 2 : end], 1)
    message.origin = session
    size = end - body
    if size < 16_384:  # what precedes the packet id goes on as it came
        message.head = data[body - (2 if size < 128 else 3) : at]
    broker = connection.broker
    routing = broker.routing
    routing.noted = 0
    routing.route(entry, message)
    broker.messages_in += 1
    if routing.noted > broker.journal.through:
        connection.acknowledge(PUBACK_HEAD + number, 0, routing.noted, size)
        return True
    session.out.append(PUBACK_HEAD + number)
    if not session.is_dirty:
        routing.wake(session)
    return True


def _aliased(connection: Connection, raw: bytes, alias: int) -> bytes:
    """Return the topic that an alias stands for, or learn one (MQTT 5, 3.3.2.3.4)."""
    if alias > ALIASES_IN:
        raise violation(f"topic alias {alias} above {ALIASES_IN}", reasons.TOPIC_ALIAS_INVALID)
    if len(raw) > MAX_TOPIC_BYTES:  # never routed, and sixteen of them would be a megabyte
        raise violation("a topic too long for an alias", reasons.TOPIC_NAME_INVALID)
    if raw:
        if connection.aliases is None:
            connection.aliases = {}
        connection.aliases[alias] = raw
        return raw
    known = connection.aliases.get(alias) if connection.aliases else None
    if known is None:
        raise violation("neither a topic nor a known topic alias", reasons.PROTOCOL_ERROR)
    return known


def _take_numbered(
    connection: Connection,
    entry: Entry,
    payload: bytes,
    head: tuple[int, int],
    said: PublishProperties,
) -> Taken:
    """Handle a message of QoS 1 or 2, `head` being (retain and QoS bits, packet id); answer it when it is due."""
    bits, number = head
    session = connection.session
    assert session is not None
    is_qos1 = bits & 6 == 2
    if not is_qos1 and (before := session.repeated(number)) is not None:
        connection.acknowledge(ack(PUBREC_FIRST, number), *before, 0)
        return 0
    if session.exceeds(RECEIVE_MAXIMUM):
        raise violation(
            "more unacknowledged messages than allowed", reasons.RECEIVE_MAXIMUM_EXCEEDED
        )
    routing = connection.broker.routing
    routing.noted = 0
    taken = _take(connection, entry, payload, bits, said)
    if taken is None:
        return None
    reason, settle = (-taken, 0) if taken < 0 else (0, taken)
    group = routing.noted
    if is_qos1:
        if not reason and connection.version == 5 and _is_for_nobody(entry):
            reason = reasons.NO_MATCHING_SUBSCRIBERS
        answer = ack(PUBACK_FIRST, number, reason, connection.version)
    else:
        if not reason or connection.version < 5:
            if session.sid:
                group = connection.broker.journal.receive(session.sid, number)
            session.take(number, settle, group)
        answer = ack(PUBREC_FIRST, number, reason, connection.version)
    connection.acknowledge(answer, settle, group, len(payload))
    return taken


def _is_for_nobody(entry: Entry) -> bool:
    return not (entry.receivers or entry.groups or entry.callbacks or entry.handler)


def _take(
    connection: Connection, entry: Entry, payload: bytes, bits: int, said: PublishProperties
) -> Taken:
    """Handle one message (bits: retain 1, QoS 2 and 4)."""
    broker = connection.broker
    qos = bits >> 1 & 3
    is_retained = bool(bits & 1)
    if entry.refusal is not None or entry.handler is not None or is_retained:
        publish = Publish(
            entry.topic, payload, qos, is_retained, said.response_topic, said.correlation
        )
        refusal = entry.refusal or live_refusal(entry, publish)
        if refusal is not None:
            broker.refuse_publish(connection, publish, refusal)
            return REFUSED
        if entry.handler is not None:
            return _ask(connection, entry, publish, said)
    message = _message(connection, entry, payload, bits, said)
    if is_retained:
        broker.routing.retain(message)
    broker.routing.route(entry, message)
    return 0


def _message(
    connection: Connection, entry: Entry, payload: bytes, bits: int, said: PublishProperties
) -> Message:
    message = Message(
        entry.topic,
        entry.raw,
        payload,
        bits >> 1 & 3,
        retain=bool(bits & 1),
        properties=said.forward,
        origin=connection.session,
    )
    if said.expiry_s is not None:
        message.expires_at = connection.broker.now() + said.expiry_s
    return message


def _ask(connection: Connection, entry: Entry, publish: Publish, said: PublishProperties) -> Taken:
    broker = connection.broker
    handler: PublishHandler | None = entry.handler
    assert handler is not None
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
            bits = publish.qos << 1 | publish.retain
            plain = broker.routing.cache.get(publish.topic)
            message = _message(connection, plain, publish.payload, bits, said)
            if publish.retain:
                broker.routing.retain(message)
            broker.routing.route(plain, message)
            return 0
    return REFUSED


# ---- acknowledgements ----


def on_puback(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PUBACK."""
    number, _ = parse_ack(data, body, end, connection.version, reasons.RECEIVED_REASONS)
    _session(connection).acknowledged(number)
    return True


def on_pubrec(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PUBREC: PUBREL leaves once it is on disk that the client has the message."""
    number, reason = parse_ack(data, body, end, connection.version, reasons.RECEIVED_REASONS)
    session = _session(connection)
    group = session.taken(number, is_refused=reason >= reasons.UNSPECIFIED_ERROR)
    if group is not None:
        known = 0 if session.is_released(number) else reasons.PACKET_IDENTIFIER_NOT_FOUND
        connection.acknowledge(ack(PUBREL_FIRST, number, known, connection.version), 0, group, 0)
    return True


def on_pubrel(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PUBREL: PUBCOMP leaves once it is on disk that the id is free."""
    number, _ = parse_ack(data, body, end, connection.version, reasons.RELEASED_REASONS)
    group, is_known = _session(connection).forget(number)
    reason = 0 if is_known else reasons.PACKET_IDENTIFIER_NOT_FOUND
    connection.acknowledge(ack(PUBCOMP_FIRST, number, reason, connection.version), 0, group, 0)
    return True


def on_pubcomp(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PUBCOMP; unknown ids are ignored."""
    number, _ = parse_ack(data, body, end, connection.version, reasons.RELEASED_REASONS)
    _session(connection).completed(number)
    return True


def _session(connection: Connection) -> MqttSession:
    assert connection.session is not None, "packets come after CONNECT"
    return connection.session
