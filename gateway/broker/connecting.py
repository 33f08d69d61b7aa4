"""CONNECT, PINGREQ and DISCONNECT: limits, then who it is, then room for it, then its session."""

import logging
import secrets
from typing import TYPE_CHECKING

from gateway.broker.access import MESH_KINDS
from gateway.broker.connection import Connection, Hold
from gateway.broker.publishing import judge
from gateway.mqtt.packets import (
    ACCEPTED,
    BAD_VERSION,
    NOT_AUTHORISED,
    PINGRESP,
    UNAVAILABLE,
    Connect,
    connack,
    malformed,
    parse_connect,
)
from gateway.mqtt.ports import Credentials, Principal, Rejected
from gateway.mqtt.session import MqttSession

if TYPE_CHECKING:
    from gateway.broker.server import Broker

log = logging.getLogger(__name__)


def on_connect(connection: Connection, data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle CONNECT: refuse it, or have it authenticated; input waits meanwhile."""
    asked = parse_connect(data, body, end)
    broker = connection.broker
    if isinstance(asked, int):
        refuse(connection, asked, "MQTT version" if asked == BAD_VERSION else "empty client id")
        return True
    if broker.is_full:
        refuse(connection, UNAVAILABLE, "connection limit")
        return True
    address = connection.peer.rpartition(":")[0]
    claimed = (asked.username or "").lower()
    if not broker.logins.may_try(address, claimed, broker.now()):
        refuse(connection, UNAVAILABLE, "too many failed logins")
        return True
    connection.hold(Hold.LOGIN)
    credentials = Credentials(
        asked.client_id, asked.username, asked.password, connection.peer, connection.listener
    )
    broker.authenticate(
        credentials, lambda answer: _judged(connection, asked, address, claimed, answer)
    )
    return True


def refuse(connection: Connection, code: int, reason: str) -> None:
    """Answer a CONNECT with a refusal and close."""
    connection.broker.connects_refused += 1
    log.info("connect refused", extra={"peer": connection.peer, "reason": reason, "connack": code})
    if connection.transport is not None:
        connection.transport.write(connack(code))
    connection.end(reason)


def _judged(
    connection: Connection,
    asked: Connect,
    address: str,
    claimed: str,
    answer: Principal | Rejected,
) -> None:
    """Go on with the authenticator's answer, which may come after the client has gone."""
    broker = connection.broker
    if isinstance(answer, Rejected):
        if answer.code != UNAVAILABLE:
            broker.logins.failure(address, claimed, broker.now())
        if connection.closing is None:
            refuse(connection, answer.code, answer.reason)
        return
    broker.logins.success(address, claimed)
    if connection.closing is not None or connection.transport is None:
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


def _is_request(connection: Connection, is_mesh: bool) -> bool:  # noqa: FBT001 - one caller, one fact
    return is_mesh and connection.principal.kind in MESH_KINDS


def _admit(connection: Connection, asked: Connect, principal: Principal) -> None:
    broker = connection.broker
    client_id = asked.client_id or f"auto-{secrets.token_hex(8)}"
    key = (principal.name, client_id)
    keep = not asked.clean_start
    if not broker.registry.has_room(key, principal.kind, keep=keep):
        refuse(connection, UNAVAILABLE, "too many sessions of this identity")
        return
    rival = broker.registry.live.get(key)
    if rival is not None:
        broker.taken_over += 1
        broker.registry.taken_over(principal.name, broker.now())
        rival.end("taken over")
    session = broker.registry.take_kept(key) if keep else None
    # The mesh forgets its part of a session with the connection, so such a client is asked to subscribe again.
    is_present = session is not None and not session.claimed
    if session is None:
        broker.registry.drop_kept(key)
        session = MqttSession(
            principal, client_id, broker.routing.wake, is_kept=keep, policy=broker.limits.drop
        )
    session.claimed.clear()
    if session.principal != principal:
        session.principal = principal  # its roles may have changed
        broker.judge_again(session)
    connection.principal, connection.client_id = principal, client_id
    connection.will = asked.will
    connection.keep_alive_s = _keep_alive(broker, asked.keep_alive_s)
    connection.session = session
    broker.registry.add(key, connection)
    session.out.append(connack(ACCEPTED, is_present=is_present))
    assert connection.transport is not None
    session.attached(connection.transport.write)
    broker.opened(connection)
    connection.release(Hold.LOGIN)


def _keep_alive(broker: "Broker", asked_s: int) -> int:
    most = broker.limits.keep_alive_s
    return min(asked_s or most, most) if most else asked_s


def on_pingreq(connection: Connection, _data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle PINGREQ."""
    if end != body:
        raise malformed("a PINGREQ with a body")
    if connection.session is not None:
        connection.session.answer(PINGRESP)
    return True


def on_disconnect(connection: Connection, _data: bytes, _first: int, body: int, end: int) -> bool:
    """Handle DISCONNECT."""
    if end != body:
        raise malformed("a DISCONNECT with a body")
    connection.leave()
    return True
