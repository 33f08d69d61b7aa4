"""A bridge as a service: connect, let messages cross, say how it is, wait longer after each failure."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from gateway.broker.peers.counts import Counts
from gateway.broker.peers.crossing import Crossing, Guide
from gateway.broker.peers.local import LocalEvents, LocalLeg
from gateway.broker.peers.loops import Loops
from gateway.broker.peers.refusals import FOR_A_PERSON, NotSpokenError, taken_over
from gateway.broker.peers.remote import RemoteEvents, RemoteLeg
from gateway.broker.peers.rules import Wanted
from gateway.broker.peers.spec import BridgeSpec
from gateway.broker.peers.speech import DIALECTS, Dialect, Peer
from gateway.broker.server import Broker
from gateway.errors import GatewayError
from gateway.model.backoff import delays
from gateway.mqtt.client_packets import PublishPacket
from gateway.mqtt.session import MqttSession

log = logging.getLogger(__name__)

MOST_RETRY_S = 60.0
STABLE_S = 30.0  # a line that held this long was good: earlier failures are forgotten
REFRESH_S = 600.0  # well below the life of a session without its client
TAKEN_OVER = "Session taken over"  # paho's words for reason 0x8E
STATE_TOPIC = "$SYS/broker/connection/{}/state"  # where mosquitto has it

Report = Callable[[GatewayError | None], None]
"""Hears of what a person must mend, and None once that is over."""


class PeerBridge:
    """Service: one bridge. It tries for ever; what waits for the other broker is in its session here."""

    required = False

    def __init__(
        self, spec: BridgeSpec, broker: Broker, loops: Loops, report: Report = lambda _: None
    ) -> None:
        self.name = f"bridge {spec.name}"
        self.spec = spec
        self.counts = Counts(spec.name, time.monotonic)
        self._broker = broker
        self._report = report
        self._guide = Guide(
            spec.name, spec.rules, loops, self.counts, time.monotonic, self._is_retained
        )
        self._dialect: Dialect | None = None  # what the other broker spoke last
        self._fresh: set[str] = set()  # filters that our session has not had before
        self._is_first = True
        self._crossing: Crossing | None = None
        self._since = 0.0
        self._prepared = -REFRESH_S  # when our session was last made sure of
        self._state = "connecting"
        self._error: GatewayError | None = None
        self._lost = ""
        self._refused: dict[str, int] = {}
        loops.join(spec.name, spec.rules.takes)

    @property
    def is_connected(self) -> bool:
        """Return whether messages cross now."""
        return self._crossing is not None

    def state(self) -> dict[str, Any]:
        """Return how the bridge is, as JSON."""
        crossing, error = self._crossing, self._error
        reason = error.text if error is not None else self._lost
        return {
            "name": self.spec.name,
            "peer": self.spec.dial.text,
            "state": self._state,
            "reason": reason,
            "hint": error.hint if error is not None else "",
            "code": error.code if error is not None else "",
            "version": {5: "5", 4: "3.1.1"}[self._dialect.version] if self._dialect else "",
            "connected_s": round(time.monotonic() - self._since, 1) if crossing else None,
            "sent": self.counts.sent,
            "received": self.counts.received,
            "queued": self.queued,
            "dropped": self.dropped,
            "refused_filters": sorted(self._refused),
        }

    @property
    def queued(self) -> int:
        """Return how many messages wait for the other broker, those on their way included."""
        session = self._session()
        return session.queued + session.unfinished if session is not None else 0

    @property
    def dropped(self) -> dict[str, int]:
        """Return how many messages did not cross, by reason, those that our own broker could not keep included."""
        session = self._session()
        lost = self.counts.dropped["away"] + (session.dropped if session is not None else 0)
        return {**self.counts.dropped, "away": lost} if lost else dict(self.counts.dropped)

    def bound_queue(self) -> None:
        """Let our session, found again after a restart, hold as much as the configuration says."""
        session = self._session()
        if session is not None:
            session.own_bounds = self.spec.queue

    def _session(self) -> MqttSession | None:
        key = (self.spec.principal.name,) * 2
        registry = self._broker.registry
        live, kept = registry.live.get(key), registry.kept.get(key)
        if live is not None:
            return live.session
        return kept[0] if kept is not None else None

    async def run(self) -> None:
        """Bridge until cancelled."""
        self._tell_here(is_up=False)
        tries = delays(self.spec.first_retry_s, MOST_RETRY_S)
        while True:
            self._since = 0.0
            if self._session() is None or time.monotonic() - self._prepared >= REFRESH_S:
                await self._prepare()
            try:
                await self._once()
            except GatewayError as error:
                self._failed(error)
            if self._since and time.monotonic() - self._since >= STABLE_S:
                tries = delays(self.spec.first_retry_s, MOST_RETRY_S)
            await asyncio.sleep(next(tries))

    # ---- one connection ----

    async def _prepare(self) -> None:
        """Make sure that our session exists and subscribes, so that messages wait for the first connection.

        Done again while the other broker is away: a session that nobody came back to would end after a week.
        """
        nothing = LocalEvents(lambda _: None, lambda _: None, lambda: None)
        leg = self._near(1, nothing)
        try:
            await leg.connect()
            self.bound_queue()
            self._fresh |= leg.subscribe(self.spec.rules.wanted_here, replay=frozenset())
            self._prepared = time.monotonic()
        finally:
            leg.close()

    async def _once(self) -> None:
        """Connect both ends and let messages cross until one is lost."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        crossing = Crossing(self._guide)

        def lost(why: str) -> None:
            if not ended.done():
                ended.set_result(why)

        far, peer = await self._call(crossing, lost)
        near = self._near(peer.window, LocalEvents(crossing.outward, lost, crossing.readable))
        crossing.near, crossing.far, crossing.peer = near, far, peer
        try:
            await near.connect()
            self._stands(crossing, peer)
            near.subscribe(self.spec.rules.wanted_here, replay=self._fresh_or_one_way())
            far.start(self._wanted_there(peer))
            crossing.begin()
            self._fresh.clear()
            self._lost = await ended
        finally:
            self._ended()
            near.close()
            if self._state == "connected" and self.spec.dial.state_topic is not None:
                far.publish(_state_packet(self.spec.dial.state_topic, b"0"))
            far.close()
            self._state = "waiting"
        if self._lost == TAKEN_OVER:
            raise taken_over(self.spec.dial)
        log.warning("bridge lost", extra={"bridge": self.spec.name, "why": self._lost})

    async def _call(
        self, crossing: Crossing, lost: Callable[[str], None]
    ) -> tuple[RemoteLeg, Peer]:
        """Connect in the first dialect that the other broker speaks, the one of last time first."""
        events = RemoteEvents(
            crossing.inward, crossing.acked, lost, crossing.slow, self._filter_refused
        )
        if not self._error:
            self._state = "connecting"
        dialects = [d for d in DIALECTS[self.spec.version] if d != self._dialect]
        if self._dialect is not None:
            dialects.insert(0, self._dialect)
        failure: GatewayError | None = None
        for dialect in dialects:
            leg = RemoteLeg(self.spec.dial, dialect, events)
            try:
                peer = await leg.connect()
            except NotSpokenError as error:
                failure = failure or error
            else:
                self._dialect = dialect
                return leg, peer
        assert failure is not None
        raise failure

    def _near(self, window: int, events: LocalEvents) -> LocalLeg:
        who = self.spec.principal
        return LocalLeg(self._broker, who, who.name, window, events)

    def _fresh_or_one_way(self) -> frozenset[str]:
        """Return the filters whose retained messages are sent now: both sides of a `both` rule have their own."""
        wanted = self.spec.rules.wanted_here
        return frozenset(
            each.pattern for each in wanted if not each.is_both or each.pattern in self._fresh
        )

    def _wanted_there(self, peer: Peer) -> list[Wanted]:
        """Return what to subscribe to; MQTT 3.1.1 cannot ask for a filter without its retained messages."""
        is_known = peer.is_present and not self._is_first and peer.dialect.version < 5
        self._is_first = False
        wanted = self.spec.rules.wanted_there
        return [each for each in wanted if not (each.is_both and is_known)]

    # ---- what people see ----

    def _stands(self, crossing: Crossing, peer: Peer) -> None:
        self._crossing = crossing
        self._since = time.monotonic()
        self._state, self._lost = "connected", ""
        self._refused.clear()
        was, self._error = self._error, None
        if isinstance(was, FOR_A_PERSON):
            self._report(None)
        self._tell_here(is_up=True)
        if self.spec.dial.state_topic is not None:
            crossing.far.publish(_state_packet(self.spec.dial.state_topic, b"1"))
        log.info(
            "bridge stands",
            extra={
                "bridge": self.spec.name,
                "peer": self.spec.dial.text,
                "version": peer.dialect.version,
            },
        )

    def _ended(self) -> None:
        if self._crossing is not None:
            self._crossing = None
            self._tell_here(is_up=False)

    def _failed(self, error: GatewayError) -> None:
        """Keep what went wrong; the log and those who report hear of each kind once."""
        was, self._error = self._error, error
        is_for_a_person = isinstance(error, FOR_A_PERSON)
        self._state = "refused" if is_for_a_person else "waiting"
        if was is not None and was.text == error.text:
            return
        log.warning(
            "bridge down",
            extra={
                "bridge": self.spec.name,
                "code": error.code,
                "error": error.text,
                "hint": error.hint,
            },
        )
        if is_for_a_person:
            self._report(error)
        elif isinstance(was, FOR_A_PERSON):
            self._report(None)

    def _filter_refused(self, pattern: str, reason: int) -> None:
        self._refused[pattern] = reason
        log.warning(
            "the other broker refused a subscription",
            extra={
                "bridge": self.spec.name,
                "filter": pattern,
                "reason": f"{reason:#04x}",
                "code": "GW-1147",
            },
        )

    def _tell_here(self, *, is_up: bool) -> None:
        topic = STATE_TOPIC.format(self.spec.name)
        self._broker.publish(topic, b"1" if is_up else b"0", retain=True)

    def _is_retained(self, topic: str) -> bool:
        return self._broker.routing.retained.get(topic) is not None


def _state_packet(topic: str, payload: bytes) -> PublishPacket:
    return PublishPacket(topic, payload, 0, retain=True)
