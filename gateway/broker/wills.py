"""Wills: kept while their clients are connected, published when one goes without a word, later if it asked for that.

A will is judged at CONNECT and once more when it is published: what its client may do can have changed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.broker.judging import judge_topic, live_refusal
from gateway.broker.publishing import TIMED_OUT
from gateway.mqtt.journal import KeptWill, SessionKey
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Will
from gateway.mqtt.ports import ROUTED, Principal, Publish, Refused, Routed, Session, Wait

if TYPE_CHECKING:
    from gateway.broker.connection import Connection
    from gateway.broker.server import Broker

log = logging.getLogger(__name__)

Key = tuple[str, str]


@dataclass(slots=True)
class Gone:
    """A client that is no more, as claims see it; matches `mqtt.ports.Session`."""

    principal: Principal
    client_id: str
    peer: str

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True, slots=True)
class Due:
    """A will that is published at `at` (broker's clock) unless its client comes back."""

    session: Session
    message: Message
    at: float


class Wills:
    """The wills of one broker."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._due: dict[Key, Due] = {}

    def __len__(self) -> int:
        return len(self._due)

    def opened(self, connection: "Connection") -> None:
        """Note the will of a client that has logged in; what it left before is void (MQTT-3.1.3-9)."""
        before = self._due.pop((connection.principal.name, connection.client_id), None)
        will = connection.will
        key = _session_key(connection)
        if before is not None and will is None:
            self._broker.journal.will(key, None)
        if will is not None:
            self._broker.journal.will(key, self._message(will, connection), will.delay_s)

    def void(self, connection: "Connection") -> None:
        """Forget the will of a client that says good-bye (MQTT-3.14.4-3)."""
        connection.will = None
        self._broker.journal.will(_session_key(connection), None)

    def ended(self, connection: "Connection", *, is_session_over: bool) -> None:
        """Publish the will of a client that went without a word, or line it up."""
        will, connection.will = connection.will, None
        if will is None:
            return
        message = self._message(will, connection)
        gone = Gone(connection.principal, connection.client_id, connection.peer)
        if will.delay_s and not is_session_over:
            session = connection.session
            delay_s = min(will.delay_s, session.expiry_s if session is not None else 0)
            key = (connection.principal.name, connection.client_id)
            self._due[key] = Due(gone, message, self._broker.now() + delay_s)
            return
        self._publish(gone, message)

    def found(self, kept: KeptWill, principal: Principal | None, grace_s: float) -> None:
        """Line up a will whose client was connected when the process ended without a word of its own."""
        if principal is None:
            self._broker.journal.will(kept.key, None)
            return
        gone = Gone(principal, kept.key.client_id, "before the restart")
        at = self._broker.now() + max(grace_s, kept.delay_s)
        self._due[(principal.name, kept.key.client_id)] = Due(gone, kept.message, at)

    def session_over(self, key: Key) -> None:
        """Publish at once what was lined up: the session it waited with has ended (3.1.3.2.2)."""
        due = self._due.pop(key, None)
        if due is not None:
            self._publish(due.session, due.message)

    def owner_changed(self, principal: Principal) -> None:
        """Judge what an identity has lined up by what it may do now."""
        for (identity, _), due in self._due.items():
            if identity == principal.name:
                due.session.principal = principal

    def tick(self, now: float) -> None:
        """Publish what is due."""
        for key in [key for key, due in self._due.items() if due.at <= now]:
            self.session_over(key)

    def _message(self, will: Will, connection: "Connection") -> Message:
        expires_at = None if will.expiry_s is None else self._broker.now() + will.expiry_s
        return Message(
            will.topic,
            will.topic.encode(),
            will.payload,
            will.qos,
            retain=will.retain,
            properties=will.properties,
            expires_at=expires_at,
            origin=connection.session,
        )

    def _publish(self, session: Session, message: Message, *, is_last: bool = False) -> None:
        broker = self._broker
        principal = session.principal
        broker.journal.will(SessionKey(principal.kind, principal.name, session.client_id), None)
        entry = judge_topic(broker, principal, message.topic)
        publish = Publish(entry.topic, message.payload, message.qos, message.retain)
        refusal = entry.refusal or live_refusal(entry, publish)
        verdict = entry.handler(session, publish) if entry.handler and not refusal else ROUTED
        if isinstance(verdict, Refused):
            refusal = verdict.reason
        elif isinstance(verdict, Wait):
            if not is_last:
                broker.waiting.later(verdict.key, self._again(session, message), broker.now())
                return
            refusal = TIMED_OUT
        if refusal is not None:
            broker.refused(session, entry.topic, f"will: {refusal}")
        elif isinstance(verdict, Routed) and not entry.is_mesh:
            broker.routing.publish(message)

    def _again(self, session: Session, message: Message) -> Callable[[bool], None]:
        return lambda is_expired: self._publish(session, message, is_last=is_expired)


def _session_key(connection: "Connection") -> SessionKey:
    principal = connection.principal
    return SessionKey(principal.kind, principal.name, connection.client_id)
