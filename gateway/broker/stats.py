"""The broker's counters and gauges as one flat dictionary, for metrics, pages and `$SYS`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.mqtt.session import MqttSession

if TYPE_CHECKING:
    from gateway.broker.server import Broker


@dataclass(slots=True)
class Totals:
    """What sessions that are over did."""

    sent: int = 0
    dropped: int = 0

    def add(self, session: MqttSession) -> None:
        """Keep the counts of a session that ends."""
        self.sent += session.sent
        self.dropped += session.dropped


def stats_of(broker: "Broker") -> dict[str, float]:
    """Return everything that is counted, by metric name."""
    totals = broker.totals
    live = [c.session for c in broker.registry.live.values() if c.session is not None]
    every = live + [session for session, _ in broker.registry.kept.values()]
    return {
        "connections": len(broker.connections),
        "clients": len(live),
        "kept_sessions": len(broker.registry.kept),
        "subscriptions": sum(len(s.subscriptions) for s in every),
        "messages_in": broker.messages_in,
        "messages_out": totals.sent + sum(s.sent for s in every),
        "bytes_in": broker.bytes_in,
        "dropped": totals.dropped + sum(s.dropped for s in every),
        "queued": sum(s.queued for s in every),
        "refused": broker.refusals.total,
        "retained": len(broker.routing.retained),
        "retained_bytes": broker.routing.retained.bytes,
        "retained_refused": broker.routing.retained_refused,
        "failed_logins": broker.logins.failed,
        "throttled_logins": broker.logins.refused,
        "refused_connects": broker.connects_refused,
        "malformed": broker.malformed,
        "taken_over": broker.taken_over,
        "cloned_identities": broker.registry.cloned_reports,
        "waiting": len(broker.waiting),
        "wait_timeouts": broker.waiting.expired,
        "cached_topics": len(broker.routing.cache),
    }
