"""The broker as the rest of the process sees it: `mqtt.ports.LocalBroker`, and the events of its connections."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from gateway.broker.access import MESH_KINDS, MESH_ROWS, row_of
from gateway.broker.claims import Claims
from gateway.broker.connection import Connection, Hold
from gateway.broker.entrance import Entrance
from gateway.broker.handlers import HANDLERS
from gateway.broker.limits import OVERFLOW_CONNECTIONS, SWEEP_S, Limits
from gateway.broker.logins import Logins
from gateway.broker.refusals import Refusals
from gateway.broker.registry import Registry
from gateway.broker.routing import Routing
from gateway.broker.sessions import PrincipalOf, Sessions
from gateway.broker.stats import Totals, stats_of
from gateway.broker.sweeping import Sweep
from gateway.broker.sys_topics import SysTopics
from gateway.broker.tracing import Tracing
from gateway.broker.waiting import Waiting
from gateway.broker.wills import Wills
from gateway.errors import MalformedFrameError
from gateway.mqtt import reasons
from gateway.mqtt.journal import Journal, Kept, NoJournal
from gateway.mqtt.message import Message
from gateway.mqtt.ports import (
    Authenticator,
    Publish,
    PublishHandler,
    Session,
    SessionObserver,
    SubscribeHandler,
    UnsubscribeHandler,
)
from gateway.mqtt.session import MqttSession

log = logging.getLogger(__name__)

OnRefused = Callable[[Session, Publish, str], None]


class Broker:
    """The MQTT broker; a service (`run`) that ages sessions, beside the listeners that feed it."""

    name = "broker"
    required = True

    def __init__(
        self,
        authenticate: Authenticator,
        *,
        limits: Limits | None = None,
        on_refused: OnRefused | None = None,
        version: str = "",
        journal: Journal | None = None,
    ) -> None:
        """`on_refused` hears of publishes of a DEVICE or CHILD that the table refused: the mesh's error frame.

        What a claim refuses, it explains itself.  Without a `journal` sessions end with the process.
        """
        self.authenticate = authenticate
        self.limits = limits or Limits()
        self.on_refused = on_refused
        self.now: Callable[[], float] = time.monotonic
        self.journal = journal or NoJournal()
        self.journal.on_durable = self.journaled
        self.claims = Claims()
        self.routing = Routing(self.journal, self.limits.bounds(), lambda: self.now())  # noqa: PLW0108 - tests set `now`
        self.routing.on_backlog = lambda is_far: self.throttle("journal", is_full=is_far)
        self.registry = Registry(self)
        self.sessions = Sessions(self)
        self.wills = Wills(self)
        self.waiting = Waiting()
        self.logins = Logins()
        self.refusals = Refusals()
        self.settled_through = 0
        self.unsettled: set[Connection] = set()
        self.newcomers: set[Connection] = set()  # sockets without a session
        self.by_listener: Counter[str] = Counter()
        self.full: set[str] = set()  # shared resources that are full
        self.messages_in = 0
        self.connects_refused = self.malformed = self.taken_over = 0
        self.totals = Totals()
        self.tracing = Tracing(HANDLERS)
        self.sys = SysTopics(self, version)
        self._observers: list[SessionObserver] = []
        self._sweep = Sweep(self)

    # ---- LocalBroker ----

    def claim(self, pattern: str, handler: PublishHandler) -> None:
        """Give PUBLISHes on an exact topic, or on `prefix/#`, to `handler`."""
        self.claims.add(pattern, handler)
        self.access_changed()

    def claim_uuids(
        self, publish: PublishHandler, subscribe: SubscribeHandler, unsubscribe: UnsubscribeHandler
    ) -> None:
        """Give everything on uuid-shaped topics to the mesh."""
        self.claims.add_uuids(publish, subscribe, unsubscribe)
        self.access_changed()

    def observe(self, observer: SessionObserver) -> None:
        """Tell `observer` of every DEVICE and CHILD session."""
        self._observers.append(observer)

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Publish as the node; topics of the mesh go through `deliver` instead."""
        if row_of(topic) in MESH_ROWS:
            self.refusals.note("node", topic, "mesh topics are delivered, not routed", self.now())
            return
        message = Message(topic, topic.encode(), payload, qos, retain=retain)
        self.routing.publish(message, is_node=True)

    def subscribe(
        self, pattern: str, callback: Callable[[str, bytes, bool], None]
    ) -> Callable[[], None]:
        """Call `callback(topic, payload, retained)` for each match; returns what ends it."""
        return self.routing.listen(pattern, callback)

    def deliver(self, session: Session, topic: str, payload: bytes, qos: int = 0) -> bool:
        """Push one frame to one session, past the trie; False when it is gone or too far behind."""
        target = session.session if isinstance(session, Connection) else None
        if target is None:
            return False
        message = Message(topic, topic.encode(), payload, qos)
        return self.routing.hand_over(target, (message, qos, b""))

    def resume(self, keys: Sequence[str]) -> None:
        """Ask again for every packet parked on one of `keys`."""
        self.waiting.resume(keys)

    def settled(self, through: int) -> None:
        """Release the acknowledgements of everything settled up to and including this number."""
        self.settled_through = max(self.settled_through, through)
        self._release()

    def kick(self, session: Session, reason: str) -> None:
        """Close a session; its will is published."""
        if isinstance(session, Connection):
            session.end(reason, reasons.ADMINISTRATIVE_ACTION)

    def refused(self, session: Session, topic: str, reason: str) -> None:
        """Count and log something the table or a claim refused."""
        name, client_id, peer = session.principal.name, session.client_id, session.peer
        self.refusals.note(name, topic, reason, self.now(), client_id=client_id, peer=peer)

    # ---- for the composition root ----

    def restore(self, kept: Kept, principal_of: PrincipalOf) -> None:
        """Take what the journal found after a restart; before any listener opens."""
        self.sessions.restore(kept, principal_of)

    def journaled(self, _through: int) -> None:
        """Let go what waited for the disk: deliveries, then acknowledgements."""
        self.routing.durable()
        self._release()

    def _release(self) -> None:
        for connection in list(self.unsettled):
            if not connection.settled(self.settled_through):
                self.unsettled.discard(connection)

    def sessions_of(self, identity: str) -> list[Connection]:
        """Return the live sessions of an identity, for instance to kick them."""
        return self.registry.of(identity)

    def access_changed(self) -> None:
        """Judge every topic again; called when claims or grants changed."""
        self.routing.cache.clear()
        for connection in self.connections:
            connection.routes.clear()

    def throttle(self, resource: str, *, is_full: bool) -> None:
        """Pause every reader while a shared resource is full (75 %), until it says it is not (50 %)."""
        was_full = bool(self.full)
        (self.full.add if is_full else self.full.discard)(resource)
        if was_full is bool(self.full):
            return
        for connection in self.connections:
            if self.full and connection.session is not None:
                connection.hold(Hold.SHARED)
            elif not self.full:
                connection.release(Hold.SHARED)

    async def run(self) -> None:
        """Service: enforce keep-alive and every other deadline until cancelled, then close all sessions."""
        try:
            while True:
                await asyncio.sleep(SWEEP_S)
                self.sweep(self.now())
        finally:
            self.close()

    def sweep(self, now: float) -> None:
        """Close what is overdue; `run` calls it twice a second."""
        self._sweep.tick(now)

    def close(self) -> None:
        """End every session; wills are published to those who still listen."""
        for connection in self.connections:
            connection.end("the broker stops", reasons.SERVER_SHUTTING_DOWN)
        self.routing.flush()
        self.sessions.save(self.now())

    def stats(self) -> dict[str, float]:
        """Return counters and gauges, flat."""
        return stats_of(self)

    # ---- events of connections ----

    def accept(self, entrance: Entrance | str) -> Connection:
        """Make the protocol of a new socket."""
        if isinstance(entrance, str):
            entrance = Entrance(entrance)
        connection = Connection(self, entrance, HANDLERS)
        self.tracing.accepted(connection)
        return connection

    @property
    def connections(self) -> list[Connection]:
        """Return every connection, logged in or not."""
        return [*self.newcomers, *self.registry.live.values()]

    @property
    def sockets(self) -> int:
        """Return how many connections there are."""
        return len(self.newcomers) + len(self.registry.live)

    @property
    def is_full(self) -> bool:
        """Return whether one more connection is one too many."""
        return self.sockets > self.limits.connections

    def connected(self, connection: Connection) -> None:
        """Count a socket; too many of them are not even answered."""
        self.newcomers.add(connection)
        self.by_listener[connection.entrance.name] += 1
        self.totals.sockets += 1
        connection.seen_at = connection.since = self.now()
        if self.sockets > self.limits.connections + OVERFLOW_CONNECTIONS:
            connection.end("far above the connection limit")

    def opened(self, connection: Connection) -> None:
        """Tell observers of a session that may now send and receive; logging in is never paused."""
        if self.full:
            connection.hold(Hold.SHARED)
        self.wills.opened(connection)
        self.totals.let_in(len(self.registry.live))
        if connection.is_traced:
            self.tracing.opened(connection)
        if connection.principal.kind in MESH_KINDS:
            for observer in self._observers:
                observer.opened(connection)

    def ended(self, connection: Connection, reason: str) -> None:
        """Publish the will, keep or forget the session, tell observers."""
        key = (connection.principal.name, connection.client_id)
        is_live = self.registry.live.get(key) is connection
        if is_live or connection in self.newcomers:
            self.newcomers.discard(connection)
            self.by_listener[connection.entrance.name] -= 1
            self.totals.gone(connection)
        if connection.is_traced:
            self.tracing.ended(connection, reason)
        self.unsettled.discard(connection)
        self.waiting.forget(connection)
        session = connection.session
        if session is None:
            return
        self.registry.remove(key, connection)
        session.detached()
        if session.dropped:
            _log_dropped(connection, session)
        if session.is_kept:
            kind, until = connection.principal.kind, self.now() + session.expiry_s
            self.registry.keep(key, session, kind, until)
            if session.sid:
                left_s = float(session.expiry_s)
                self.journal.set_session(session.sid, session.version, session.expiry_s, left_s)
        else:
            self.sessions.drop(session)
        self.wills.ended(connection, is_session_over=not session.is_kept)
        if connection.principal.kind in MESH_KINDS:
            for observer in self._observers:
                observer.closed(connection, reason)

    def violated(self, connection: Connection, error: MalformedFrameError) -> None:
        """Close a connection that broke the protocol; an MQTT 5 client is told how."""
        self.malformed += 1
        log.warning(
            "protocol violation",
            extra={"peer": connection.peer, "what": error.text, "code": error.code},
        )
        code = error.reason if isinstance(error, reasons.ProtocolViolation) else 0
        connection.end(error.text, code or reasons.MALFORMED_PACKET)

    def connect_refused(self, connection: Connection, reason: str) -> None:
        """Count a CONNECT that was answered with a refusal."""
        self.connects_refused += 1
        name, client_id = connection.principal.name, connection.client_id
        self.refusals.connect(name, client_id, connection.peer, reason, self.now())

    def park(self, connection: Connection, key: str) -> None:
        """Hold a connection's input at the packet at hand."""
        self.waiting.park(connection, key, self.now())

    def refuse_publish(self, connection: Connection, publish: Publish, reason: str) -> None:
        """Count a publish that the table refused; a device also gets the mesh's error frame."""
        self.refused(connection, publish.topic, reason)
        if self.on_refused is not None and connection.principal.kind in MESH_KINDS:
            self.on_refused(connection, publish, reason)

    def judge_again(self, session: MqttSession) -> None:
        """Judge a kept session's filters by what its owner may do today."""
        self.sessions.judge_again(session)

    def before_replay(self, pattern: str) -> None:
        """Make `$SYS` values current before somebody reads them."""
        self.sys.before_replay(pattern)


def _log_dropped(connection: Connection, session: MqttSession) -> None:
    log.warning(
        "a slow client missed messages",
        extra={
            "identity": connection.principal.name,
            "client_id": connection.client_id,
            "dropped": session.dropped,
            "code": "GW-1108",
        },
    )
