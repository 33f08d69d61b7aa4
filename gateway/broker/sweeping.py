"""What happens because time passes: silent clients, waits, kept sessions, wills, retained messages, `$SYS`."""

from typing import TYPE_CHECKING

from gateway.broker.pausing import Hold
from gateway.mqtt import reasons

if TYPE_CHECKING:
    from gateway.broker.connection import Connection
    from gateway.broker.server import Broker

SAVE_S = 3600.0  # how often the journal hears how long absent clients' sessions have left
EXPIRE_S = 60.0  # how often retained messages are searched for expired ones


class Sweep:
    """Looks at everything that has a deadline, twice a second."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._save_at = broker.now() + SAVE_S
        self._expire_at = broker.now() + EXPIRE_S

    def tick(self, now: float) -> None:
        """Close and publish what is due."""
        broker = self._broker
        for connection in broker.connections:
            if connection.was_seen:
                connection.was_seen = False
                connection.seen_at = now
            elif not connection.holds & ~Hold.OUTPUT:
                self._end_if_silent(connection, now - connection.seen_at)
        broker.waiting.expire(now)
        broker.totals.expired += broker.registry.expire(now)
        broker.wills.tick(now)
        broker.sys.tick(now)
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_S
            broker.routing.forget_expired(now)
        if now >= self._save_at:
            self._save_at = now + SAVE_S
            broker.sessions.save(now)

    def _end_if_silent(self, connection: "Connection", silent_s: float) -> None:
        if connection.session is None:
            if silent_s >= self._broker.limits.connect_s:
                connection.end("no CONNECT in time")
        elif connection.keep_alive_s and silent_s >= connection.keep_alive_s * 1.5:
            connection.end("keep-alive ran out", reasons.KEEP_ALIVE_TIMEOUT)
