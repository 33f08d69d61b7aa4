"""Wills: kept while their clients are connected, published when one goes without a word, later if it asked for that.

A will is judged at CONNECT and once more when it is published: what its client may do can have changed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.broker.judging import judge_topic, live_refusal
from gateway.broker.publishing import TIMED_OUT
from gateway.mqtt.encoding import EXPIRY
from gateway.mqtt.journal import KeptWill, SessionKey
from gateway.mqtt.message import Message
from gateway.mqtt.packets import Will, length
from gateway.mqtt.ports import ROUTED, Principal, Publish, Refused, Routed, Session, Wait
from gateway.mqtt.properties import parse_publish

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
    key: SessionKey  # under which the journal has it
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
            self._broker.journal.will(key, self._message(will), will.delay_s)

    def void(self, connection: "Connection") -> None:
        """Forget the will of a client that says good-bye (MQTT-3.14.4-3)."""
        connection.will = None
        self._broker.journal.will(_session_key(connection), None)

    def ended(self, connection: "Connection", *, is_session_over: bool) -> None:
        """Publish the will of a client that went without a word, or line it up."""
        will, connection.will = connection.will, None
        if will is None:
            return
        message, kept_as = self._message(will), _session_key(connection)
        gone = Gone(connection.principal, connection.client_id, connection.peer)
        if will.delay_s and not is_session_over:
            session = connection.session
            delay_s = min(will.delay_s, session.expiry_s if session is not None else 0)
            key = (connection.principal.name, connection.client_id)
            self._due[key] = Due(gone, kept_as, message, self._broker.now() + delay_s)
            return
        self._publish(Due(gone, kept_as, message, 0.0))

    def found(self, kept: KeptWill, principal: Principal | None, grace_s: float) -> None:
        """Line up a will whose client was connected when the process ended without a word of its own."""
        if principal is None:
            self._broker.journal.will(kept.key, None)
            return
        gone = Gone(principal, kept.key.client_id, "before the restart")
        at = self._broker.now() + max(grace_s, kept.delay_s)
        self._due[(principal.name, kept.key.client_id)] = Due(gone, kept.key, kept.message, at)

    def session_over(self, key: Key) -> None:
        """Publish at once what was lined up: the session it waited with has ended (3.1.3.2.2)."""
        due = self._due.pop(key, None)
        if due is not None:
            self._publish(due)

    def owner_changed(self, principal: Principal) -> None:
        """Judge what an identity has lined up by what it may do now."""
        for (identity, _), due in self._due.items():
            if identity == principal.name:
                due.session.principal = principal

    def tick(self, now: float) -> None:
        """Publish what is due."""
        for key in [key for key, due in self._due.items() if due.at <= now]:
            self.session_over(key)

    @staticmethod
    def _message(will: Will) -> Message:
        """Return a will as it waits: its expiry is still an interval, and begins when it is published."""
        properties = will.properties
        if will.expiry_s is not None:
            properties += EXPIRY + will.expiry_s.to_bytes(4, "big")
        raw = will.topic.encode()
        return Message(
            will.topic, raw, will.payload, will.qos, retain=will.retain, properties=properties
        )

    def _due_message(self, will: Message) -> Message:
        """Return a will as it is published, its expiry running."""
        raw = length(len(will.properties)) + will.properties
        said, _ = parse_publish(raw, 0, len(raw))
        message = Message(
            will.topic,
            will.raw,
            will.payload,
            will.qos,
            retain=will.retain,
            properties=said.forward,
        )
        if said.expiry_s is not None:
            message.expires_at = self._broker.now() + said.expiry_s
        return message

    def _publish(self, due: Due, *, is_last: bool = False) -> None:
        broker, session, will = self._broker, due.session, due.message
        entry = judge_topic(broker, session.principal, will.topic)
        publish = Publish(entry.topic, will.payload, will.qos, will.retain)
        refusal = entry.refusal or live_refusal(entry, publish)
        verdict = entry.handler(session, publish) if entry.handler and not refusal else ROUTED
        if isinstance(verdict, Refused):
            refusal = verdict.reason
        elif isinstance(verdict, Wait):
            if not is_last:
                broker.waiting.later(verdict.key, self._again(due), broker.now())
                return
            refusal = TIMED_OUT
        if refusal is not None:
            broker.refused(session, entry.topic, f"will: {refusal}")
        elif isinstance(verdict, Routed) and not entry.is_mesh:
            message = self._due_message(will)
            message.origin = broker.registry.session((due.key.identity, due.key.client_id))
            broker.routing.publish(message)
        broker.journal.will(due.key, None)  # in one commit with what it became

    def _again(self, due: Due) -> Callable[[bool], None]:
        return lambda is_expired: self._publish(due, is_last=is_expired)


def _session_key(connection: "Connection") -> SessionKey:
    principal = connection.principal
    return SessionKey(principal.kind, principal.name, connection.client_id)
