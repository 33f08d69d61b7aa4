"""The life of a session: begun or resumed at CONNECT, put aside at the end of a connection, found after a restart."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gateway.broker.access import MESH_ROWS, SubscribeAs, may_read, may_subscribe, row_of
from gateway.broker.entrance import BRIDGE
from gateway.broker.limits import WILL_GRACE_S
from gateway.broker.subscriptions import OPTION_BITS, share_of
from gateway.model.device import is_uuid
from gateway.mqtt.backlog import FOUND
from gateway.mqtt.filters import is_valid_filter
from gateway.mqtt.journal import Kept, KeptSession, KeptSubscription, SessionKey
from gateway.mqtt.message import Message
from gateway.mqtt.outbound import ALIASES_OUT, SEND_WINDOW
from gateway.mqtt.packets import REFUSED_FILTER, Connect
from gateway.mqtt.ports import Granted, Principal, Wait
from gateway.mqtt.session import MqttSession
from gateway.mqtt.topics import CHECKED, IDENTIFIER_SHIFT

if TYPE_CHECKING:
    from gateway.broker.connection import Connection
    from gateway.broker.server import Broker

log = logging.getLogger(__name__)

REFUSED = Granted(REFUSED_FILTER)

PrincipalOf = Callable[[SessionKey], Principal | None]
"""Who an identity is today; None: nobody any more."""


class Sessions:
    """Begins, keeps and finds sessions."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker

    def begin(
        self, principal: Principal, client_id: str, expiry_s: int, asked: Connect
    ) -> tuple[MqttSession, bool]:
        """Return (the session of a CONNECT, whether it was there before)."""
        broker = self._broker
        key = (principal.name, client_id)
        session = None if asked.clean_start else broker.registry.take_kept(key)
        if session is None:
            broker.registry.drop_kept(key)
            session = MqttSession(principal, client_id, broker.routing)
            is_present = False
        else:
            is_present = True
        is_changed = session.version != asked.version
        session.version = asked.version
        session.window = min(asked.receive_maximum, SEND_WINDOW)
        session.most_bytes = asked.most_packet_bytes or 0
        session.most_aliases = min(asked.alias_maximum, ALIASES_OUT)
        if session.principal != principal:
            session.principal = principal  # its roles may have changed
            self.judge_again(session)
        elif is_changed or asked.version == 5:
            broker.routing.subscriptions.refresh(session)
        self.keep_for(session, expiry_s)
        return session, is_present

    def keep_for(self, session: MqttSession, expiry_s: int) -> None:
        """Set how long a session outlives its connection; the journal hears of it."""
        journal = self._broker.journal
        session.expiry_s = min(expiry_s, self._broker.limits.session_expiry_s)
        if session.sid:
            journal.set_session(session.sid, session.version, session.expiry_s, session.expiry_s)
        elif session.expiry_s:
            session.sid = journal.new_session(
                session_key(session), session.version, session.expiry_s
            )

    def drop(self, session: MqttSession) -> None:
        """End a session for good."""
        broker = self._broker
        broker.routing.subscriptions.forget(session)
        broker.routing.held.discard(session)
        broker.totals.add(session)
        if session.sid:
            broker.journal.drop_session(session.sid)
            session.sid = 0

    def judge_again(self, session: MqttSession) -> None:
        """Judge the filters of a session by what its owner may do today."""
        subscriptions = self._broker.routing.subscriptions
        for pattern in list(session.subscriptions):
            mark = subscriptions.mark(session, pattern) & ~CHECKED
            if not self._put(session, pattern, mark):
                subscriptions.remove(session, pattern)
        session.drop_unless(lambda message: _may_have(session.principal, message))

    def claim_again(self, connection: "Connection") -> None:
        """Have the mesh take the uuid filters of a session that goes on: it forgets its part with the connection."""
        session = connection.session
        for pattern in list(session.claimed or ()) if session is not None else ():
            self._claim(connection, pattern, is_last=False)

    def _claim(self, connection: "Connection", pattern: str, *, is_last: bool) -> None:
        session, handler = connection.session, self._broker.claims.uuid_subscribe
        qos = session.claimed.get(pattern) if session is not None and session.claimed else None
        if session is None or qos is None or session.claimed is None:
            return  # it has gone, or unsubscribed meanwhile
        answer = handler(connection, pattern, qos) if handler is not None else REFUSED
        if isinstance(answer, Wait) and not is_last:
            again = partial(self._claim, connection, pattern)
            self._broker.waiting.later(
                answer.key, lambda is_expired: again(is_last=is_expired), self._broker.now()
            )
        elif isinstance(answer, Wait) or answer.qos == REFUSED_FILTER:
            self._broker.refused(connection, pattern, "no longer subscribed: the mesh refuses it")
            del session.claimed[pattern]
            if session.sid:
                self._broker.journal.unsubscribe(session.sid, pattern)

    def _put(self, session: MqttSession, pattern: str, mark: int) -> bool:
        verdict = may_subscribe(session.principal, pattern)
        if verdict is SubscribeAs.OPEN or verdict is SubscribeAs.CHECKED:
            checked = CHECKED if verdict is SubscribeAs.CHECKED else 0
            self._broker.routing.subscriptions.add(session, pattern, mark | checked)
            return True
        return False

    # ---- after a restart ----

    def restore(self, kept: Kept, principal_of: PrincipalOf) -> None:
        """Take what the journal found; who is nobody any more loses what was kept for it."""
        broker = self._broker
        for found in kept.retained:
            broker.routing.retained.put(found.message)
        for item in kept.sessions:
            principal = principal_of(item.key)
            if principal is None:
                broker.journal.drop_session(item.sid)
                log.info("a session of nobody was dropped", extra={"identity": item.key.identity})
                continue
            self._restore(item, principal)
        for will in kept.wills:
            broker.wills.found(will, principal_of(will.key), WILL_GRACE_S)

    def _restore(self, kept: KeptSession, principal: Principal) -> None:
        broker = self._broker
        session = MqttSession(principal, kept.key.client_id, broker.routing)
        session.version = kept.version
        session.expiry_s = kept.expiry_s
        session.received = dict.fromkeys(kept.received, (0, 0)) or None
        waiting = [(d.packet_id, FOUND, d.outgoing) for d in kept.deliveries if not d.is_released]
        session.restore(waiting, [d.packet_id for d in kept.deliveries if d.is_released])
        for found in kept.subscriptions:
            mark = found.options & OPTION_BITS | found.identifier << IDENTIFIER_SHIFT
            if is_uuid(found.pattern):
                session.claimed = (session.claimed or {}) | {found.pattern: mark & 3}
            elif not self._is_usable(found) or not self._put(session, found.pattern, mark):
                broker.journal.unsubscribe(kept.sid, found.pattern)
        session.sid = kept.sid
        session.drop_unless(lambda message: _may_have(principal, message))
        key = (principal.name, session.client_id)
        broker.registry.keep(key, session, principal.kind, broker.now() + kept.left_s)

    @staticmethod
    def _is_usable(found: KeptSubscription) -> bool:
        shared = share_of(found.pattern)
        return is_valid_filter(shared[1] if shared else found.pattern)

    def save(self, now: float) -> None:
        """Note how long each session without a client has left: what is found after a restart goes on from there."""
        for session, deadline in self._broker.registry.kept.values():
            if session.sid:
                left_s = max(0.0, deadline - now)
                self._broker.journal.set_session(
                    session.sid, session.version, session.expiry_s, left_s
                )


def _may_have(principal: Principal, message: Message) -> bool:
    """Return whether what waits may still be handed over; frames of the mesh are the mesh's to judge.

    A bridge that cannot run for now has no grants, and keeps what waits for the day when it is mended.
    """
    if principal.name.startswith(BRIDGE):
        return True
    return row_of(message.topic) in MESH_ROWS or may_read(principal, message.topic)


def session_key(session: MqttSession) -> SessionKey:
    """Return how the journal names a session."""
    principal = session.principal
    return SessionKey(principal.kind, principal.name, session.client_id)
