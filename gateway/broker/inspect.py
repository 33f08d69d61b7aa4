"""What operators see of the broker: clients, sessions, retained messages and refusals as plain rows.

Times are spans in seconds, for the broker's clock means nothing outside.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gateway.mqtt.session import MqttSession

if TYPE_CHECKING:
    from gateway.broker.connection import Connection
    from gateway.broker.server import Broker

Row = dict[str, Any]

MOST_ROWS = 1000  # of retained messages in one answer


def clients(broker: "Broker") -> list[Row]:
    """Return who is logged in, by identity and client id."""
    live = broker.registry.live
    return [_client(broker, live[key]) for key in sorted(live)]


def sessions(broker: "Broker") -> list[Row]:
    """Return every session, those of absent clients too, by identity and client id."""
    registry, now = broker.registry, broker.now()
    rows = {
        key: _session(broker, connection.session, {"online": True})
        for key, connection in registry.live.items()
        if connection.session is not None
    }
    for key, (session, until) in registry.kept.items():
        left_s = max(0.0, until - now)
        absent = {
            "online": False,
            "offline_s": round(max(0.0, session.expiry_s - left_s), 1),
            "expires_in_s": round(left_s, 1),
        }
        rows[key] = _session(broker, session, absent)
    return [rows[key] for key in sorted(rows)]


def retained(broker: "Broker", pattern: str) -> Row:
    """Return the retained messages that a filter matches: how many, their bytes, and the first rows."""
    store, now = broker.routing.retained, broker.now()
    found = [m for m in map(store.get, sorted(store.topics(pattern))) if m is not None]
    return {
        "count": len(found),
        "bytes": sum(len(message.payload) for message in found),
        "rows": [
            {
                "topic": message.topic,
                "bytes": len(message.payload),
                "qos": message.qos,
                "age_s": _age_s(store.kept_at(message.topic), now),
                "expires_in_s": None
                if message.expires_at is None
                else round(max(0.0, message.expires_at - now), 1),
            }
            for message in found[:MOST_ROWS]
        ],
    }


def refused(broker: "Broker") -> list[Row]:
    """Return what was refused lately, newest first."""
    now = broker.now()
    return [
        {
            "what": row.what,
            "identity": row.identity,
            "client_id": row.client_id,
            "peer": row.peer,
            "reason": row.reason,
            "count": row.count,
            "last_s": round(max(0.0, now - row.last), 1),
        }
        for row in broker.refusals.recent()
    ]


def clear_retained(broker: "Broker", pattern: str) -> int:
    """Clear what a filter matches, as a client would with empty messages; return how many went."""
    topics = broker.routing.retained.topics(pattern)
    for topic in topics:
        broker.publish(topic, b"", retain=True)
    return len(topics)


def find(broker: "Broker", identity: str, client_id: str | None) -> "list[Connection]":
    """Return the live connections of an identity, or its one of this client id."""
    return [
        connection
        for connection in broker.sessions_of(identity)
        if client_id is None or connection.client_id == client_id
    ]


def _client(broker: "Broker", connection: "Connection") -> Row:
    session = connection.session
    return {
        "identity": connection.principal.name,
        "client_id": connection.client_id,
        "kind": connection.principal.kind.value,
        "version": connection.version,
        "listener": connection.listener,
        "peer": connection.peer,
        "since_s": round(max(0.0, broker.now() - connection.since), 1),
        "keep_alive_s": connection.keep_alive_s,
        "packets_in": connection.packets_in,
        "bytes_in": connection.bytes_in,
        **(_outward(session) if session is not None else {}),
    }


def _session(broker: "Broker", session: MqttSession, presence: Row) -> Row:
    return {
        "identity": session.principal.name,
        "client_id": session.client_id,
        "kind": session.principal.kind.value,
        "version": session.version,
        "expiry_s": session.expiry_s,
        **presence,
        **_outward(session),
        "subscriptions": _filters(broker, session),
    }


def _outward(session: MqttSession) -> Row:
    return {
        "messages_out": session.sent,
        "bytes_out": session.bytes_out,
        "queued": session.queued,
        "queued_bytes": session.queued_bytes,
        "inflight": session.unfinished,
        "dropped": session.dropped,
    }


def _age_s(kept_at: float | None, now: float) -> float | None:
    return None if kept_at is None else round(max(0.0, now - kept_at), 1)


def _filters(broker: "Broker", session: MqttSession) -> list[Row]:
    mark = broker.routing.subscriptions.mark
    plain: Iterable[tuple[str, int]] = (
        (pattern, mark(session, pattern) & 3) for pattern in session.subscriptions
    )
    mesh = (session.claimed or {}).items()
    return [{"filter": pattern, "qos": qos} for pattern, qos in sorted([*plain, *mesh])]
