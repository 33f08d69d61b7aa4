"""The broker's counters and gauges as one flat dictionary, for metrics, pages and `$SYS`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.mqtt.session import MqttSession

if TYPE_CHECKING:
    from gateway.broker.connection import Connection
    from gateway.broker.server import Broker


@dataclass(slots=True)
class Totals:
    """What was counted once for all, and what sessions and connections that are over did."""

    sockets: int = 0  # opened
    connects: int = 0  # let in
    most_clients: int = 0  # at once
    expired: int = 0  # kept sessions whose clients did not come back
    packets_in: int = 0
    bytes_in: int = 0
    sent: int = 0
    bytes_out: int = 0
    dropped: int = 0

    def add(self, session: MqttSession) -> None:
        """Keep the counts of a session that ends."""
        self.sent += session.sent
        self.bytes_out += session.bytes_out
        self.dropped += session.dropped

    def let_in(self, clients: int) -> None:
        """Count a login; `clients` are logged in now."""
        self.connects += 1
        self.most_clients = max(self.most_clients, clients)

    def gone(self, connection: "Connection") -> None:
        """Keep the counts of a connection that ends."""
        self.packets_in += connection.packets_in
        self.bytes_in += connection.bytes_in


def stats_of(broker: "Broker") -> dict[str, float]:
    """Return everything that is counted, by metric name."""
    totals, routing, registry = broker.totals, broker.routing, broker.registry
    live = [c.session for c in registry.live.values() if c.session is not None]
    every = live + [session for session, _ in registry.kept.values()]
    connections = broker.connections
    return {
        "connections": len(connections),
        "clients": len(live),
        "most_clients": totals.most_clients,
        "kept_sessions": len(registry.kept),
        "expired_sessions": totals.expired,
        "subscriptions": sum(len(s.subscriptions) for s in every),
        "shared_subscriptions": routing.subscriptions.shared_count,
        "sockets": totals.sockets,
        "connects": totals.connects,
        "messages_in": broker.messages_in,
        "messages_out": totals.sent + sum(s.sent for s in every),
        "packets_in": totals.packets_in + sum(c.packets_in for c in connections),
        "bytes_in": totals.bytes_in + sum(c.bytes_in for c in connections),
        "bytes_out": totals.bytes_out + sum(s.bytes_out for s in every),
        "dropped": totals.dropped + sum(s.dropped for s in every),
        "queued": sum(s.queued for s in every),
        "queued_bytes": routing.bounds.used_bytes,
        "inflight": sum(s.unfinished for s in every),
        "refused": broker.refusals.total,
        "retained": len(routing.retained),
        "retained_bytes": routing.retained.bytes,
        "retained_refused": routing.retained_refused,
        "failed_logins": broker.logins.failed,
        "throttled_logins": broker.logins.refused,
        "refused_connects": broker.connects_refused,
        "malformed": broker.malformed,
        "taken_over": broker.taken_over,
        "cloned_identities": registry.cloned_reports,
        "waiting": len(broker.waiting),
        "wait_timeouts": broker.waiting.expired,
        "wills_waiting": len(broker.wills),
        "cached_topics": len(routing.cache),
    }
