"""CONNECT, PINGREQ, DISCONNECT and AUTH: limits, then who it is, then room for it, then its session."""

import logging
import secrets
from typing import TYPE_CHECKING

from gateway.broker.access import MESH_KINDS
from gateway.broker.connection import Connection
from gateway.broker.judging import judge
from gateway.broker.limits import ALIASES_IN
from gateway.broker.pausing import Hold
from gateway.broker.rates import Meter
from gateway.mqtt import properties as props
from gateway.mqtt import reasons
from gateway.mqtt.packets import (
    BAD_VERSION,
    NOT_AUTHORISED,
    PINGRESP,
    UNAVAILABLE,
    Connect,
    Properties,
    connack,
    connect_version,
    parse_connect,
    parse_disconnect,
)
from gateway.mqtt.ports import Credentials, Principal, PrincipalKind, Rejected
from gateway.mqtt.reasons import ProtocolViolation, violation
from gateway.mqtt.session import RECEIVE_MAXIMUM

if TYPE_CHECKING:
    from gateway.broker.server import Broker

log = logging.getLogger(__name__)

REASON_TEXT_BYTES = 200  # of a CONNACK: enough for a sentence


def on_connect(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle CONNECT: refuse it, or have it authenticated; input waits meanwhile."""
    connection.version = connect_version(data, body, end)
    try:
        asked = parse_connect(data, body, end)
    except ProtocolViolation as error:
        if connection.version == 5 and connection.transport is not None:
            connection.transport.write(connack(error.reason, version=5))  # MQTT-3.1.4-1
        raise
    if isinstance(asked, int):
        refuse(connection, asked, "MQTT version" if asked == BAD_VERSION else "empty client id")
        return True
    connection.version = asked.version
    # Who it says it is, for those who are told of a refusal; it may do nothing by it.
    connection.principal = Principal(PrincipalKind.USER, asked.username or "")
    connection.client_id = asked.client_id
    connection.most_bytes = asked.most_packet_bytes or 0
    if (reason := _refusal(connection, asked)) is not None:
        refuse(connection, *reason)
        return True
    preset = _preset(connection, asked)
    if preset is not None:
        _judged(connection, asked, ("", ""), preset)
        return True
    broker = connection.broker
    address = connection.peer.rpartition(":")[0]
    claimed = (asked.username or "").lower()
    if not broker.logins.may_try(address, claimed, broker.now()):
        refuse(connection, UNAVAILABLE, "too many failed logins", reasons.CONNECTION_RATE_EXCEEDED)
        return True
    connection.hold(Hold.LOGIN)
    broker.authenticate(
        Credentials(
            asked.client_id,
            asked.username,
            asked.password,
            connection.peer,
            connection.listener,
            connection.certificate,
            connection.uid,
        ),
        lambda answer: _judged(connection, asked, (address, claimed), answer),
    )
    return True


def _refusal(connection: Connection, asked: Connect) -> tuple[int, str, int] | None:
    """Return (code, text, MQTT 5 reason) of what needs no login to be refused."""
    broker, entrance = connection.broker, connection.entrance
    if asked.auth_method is not None:
        return (
            NOT_AUTHORISED,
            "enhanced authentication is not offered",
            reasons.BAD_AUTHENTICATION_METHOD,
        )
    most = entrance.most_connections
    if broker.is_full or (most is not None and broker.by_listener[entrance.name] > most):
        return UNAVAILABLE, "connection limit", reasons.QUOTA_EXCEEDED
    return None


def _preset(connection: Connection, asked: Connect) -> Principal | None:
    """Return who a client is without a login: code in this process, or whom a person let in nameless."""
    entrance = connection.entrance
    if entrance.preset is not None:
        return entrance.preset
    if asked.username is None and connection.certificate is None and connection.uid is None:
        return entrance.anonymous
    return None


def refuse(connection: Connection, code: int, text: str, reason: int = 0) -> None:
    """Answer a CONNECT with a refusal and close: `code` to MQTT 3, `reason` (or its like) to MQTT 5."""
    connection.broker.connect_refused(connection, text)
    log.info("connect refused", extra={"peer": connection.peer, "reason": text, "connack": code})
    packet = _refusal_packet(connection, code, text, reason)
    if connection.transport is not None and packet:
        connection.transport.write(packet)
    connection.end(text)


def _refusal_packet(connection: Connection, code: int, text: str, reason: int) -> bytes:
    if connection.version < 5:
        return connack(code)
    reason = reason or reasons.connack_v5(code)
    told: Properties = {props.REASON_STRING: text[:REASON_TEXT_BYTES]}
    for packet in (
        connack(reason, version=5, properties=told),
        connack(reason, version=5),
    ):
        if not 0 < connection.most_bytes < len(packet):  # MQTT-3.2.2-19
            return packet
    return b""


def _judged(
    connection: Connection,
    asked: Connect,
    tried: tuple[str, str],
    answer: Principal | Rejected,
) -> None:
    """Go on with the authenticator's answer, which may come after the client has gone."""
    broker = connection.broker
    if isinstance(answer, Rejected):
        if answer.code != UNAVAILABLE:
            broker.logins.failure(*tried, broker.now())
        if connection.closing is None:
            refuse(connection, answer.code, answer.reason)
        return
    if tried[0]:
        broker.logins.success(*tried)
    if connection.closing is not None or connection.transport is None:
        return
    if not _may_enter(connection, answer):
        refuse(connection, NOT_AUTHORISED, f"not by listener {connection.listener}")
        return
    if asked.will is not None:
        connection.principal = answer
        entry = judge(broker, connection, asked.will.topic)
        if entry.refusal is not None or (
            asked.will.retain and _is_request(connection, entry.is_mesh)
        ):
            broker.refused(connection, asked.will.topic, "will refused")
            refuse(connection, NOT_AUTHORISED, "will refused")
            return
    _admit(connection, asked, answer)


def _may_enter(connection: Connection, principal: Principal) -> bool:
    entrance = connection.entrance
    if principal is entrance.preset or principal is entrance.anonymous:
        return True  # compared by identity: hashing 50 grants takes longer than the login
    if principal.kind not in entrance.kinds:
        return False
    is_user = principal.kind is PrincipalKind.USER
    return not is_user or entrance.roles is None or bool(principal.roles & entrance.roles)


def _is_request(connection: Connection, is_mesh: bool) -> bool:  # noqa: FBT001 - one caller, one fact
    return is_mesh and connection.principal.kind in MESH_KINDS


def _admit(connection: Connection, asked: Connect, principal: Principal) -> None:
    broker = connection.broker
    client_id = asked.client_id or f"auto-{secrets.token_hex(8)}"
    key = (principal.name, client_id)
    expiry_s = min(asked.expiry_s, broker.limits.session_expiry_s)
    if not broker.registry.has_room(key, principal.kind, keep=expiry_s > 0):
        refuse(
            connection,
            UNAVAILABLE,
            "too many sessions of this identity",
            reasons.QUOTA_EXCEEDED,
        )
        return
    connection.client_id = client_id
    connection.keep_alive_s = _keep_alive(broker, asked.keep_alive_s)
    told = _announced(connection, asked, expiry_s) if asked.version == 5 else None
    if 0 < connection.most_bytes < len(connack(0, version=asked.version, properties=told)):
        refuse(connection, UNAVAILABLE, "too small a maximum packet", reasons.PACKET_TOO_LARGE)
        return
    rival = broker.registry.live.get(key)
    if rival is not None:
        broker.taken_over += 1
        broker.registry.taken_over(principal.name, broker.now())
        rival.end("taken over", reasons.SESSION_TAKEN_OVER)
    session, is_present = broker.sessions.begin(principal, client_id, expiry_s, asked)
    connection.principal = principal
    connection.will = asked.will
    connection.session = session
    connection.since = connection.seen_at = broker.now()
    if broker.limits.messages_per_s or broker.limits.bytes_per_s:
        limits = broker.limits
        connection.meter = Meter(limits.messages_per_s, limits.bytes_per_s, broker.now())
        connection.is_watched = True
    broker.registry.add(key, connection)
    broker.newcomers.discard(connection)
    session.out.append(connack(0, is_present=is_present, version=asked.version, properties=told))
    assert connection.transport is not None
    session.attached(connection.transport.write)
    if session.acks:
        broker.unsettled.add(connection)
    broker.opened(connection)
    broker.sessions.claim_again(connection)
    connection.release(Hold.LOGIN)


def _announced(connection: Connection, asked: Connect, expiry_s: int) -> Properties:
    """Return what an MQTT 5 client has to know of this server (3.2.2.3)."""
    told: Properties = {
        props.RECEIVE_MAXIMUM: RECEIVE_MAXIMUM,
        props.TOPIC_ALIAS_MAXIMUM: ALIASES_IN,
        props.MAXIMUM_PACKET_SIZE: connection.entrance.most_packet_bytes
        or connection.broker.limits.packet_bytes,
    }
    if expiry_s != asked.expiry_s:
        told[props.SESSION_EXPIRY] = expiry_s
    if not asked.client_id:
        told[props.ASSIGNED_CLIENT_ID] = connection.client_id
    if connection.keep_alive_s != asked.keep_alive_s:
        told[props.SERVER_KEEP_ALIVE] = connection.keep_alive_s
    return told


def _keep_alive(broker: "Broker", asked_s: int) -> int:
    most = broker.limits.keep_alive_s
    return min(asked_s or most, most) if most else asked_s


def on_pingreq(connection: Connection, _data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PINGREQ."""
    if end != body:
        raise violation("a PINGREQ with a body")
    if connection.session is not None:
        connection.session.answer(PINGRESP)
    return True


def on_disconnect(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle DISCONNECT; MQTT 5 may change how long the session is kept, and ask for the will."""
    reason, expiry_s = parse_disconnect(data, body, end, connection.version)
    session = connection.session
    if expiry_s is not None and session is not None:
        if expiry_s and not session.expiry_s:
            raise violation(  # MQTT-3.14.2-2
                "a session that was not to be kept, kept at DISCONNECT", reasons.PROTOCOL_ERROR
            )
        connection.broker.sessions.keep_for(session, expiry_s)
    connection.leave(with_will=reason != reasons.NORMAL_DISCONNECTION)  # 3.1.2.5
    return True


def on_auth(_connection: Connection, _data: bytes, _first: int, _body: int, _end: int) -> bool:
    """Refuse AUTH: no client was let in by a method that has any (4.12)."""
    raise violation("AUTH without an authentication method", reasons.PROTOCOL_ERROR)
