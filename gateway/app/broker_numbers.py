"""The broker's numbers for Prometheus: what each means, and where it is read."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gateway.runtime.metrics import Metrics, Samples
from gateway.store.mqtt_journal import SqliteJournal

if TYPE_CHECKING:
    from gateway.app.parts import Parts
    from gateway.broker.server import Broker

GAUGES = {
    "clients": "Clients that are logged in.",
    "kept_sessions": "Sessions of clients that are away.",
    "subscriptions": "Subscriptions of all sessions.",
    "shared_subscriptions": "Members of shared subscriptions.",
    "retained": "Retained messages kept.",
    "retained_bytes": "Bytes of them.",
    "queued": "Messages that wait for slow or absent clients.",
    "queued_bytes": "Bytes of them.",
    "inflight": "Messages sent and not yet acknowledged.",
    "waiting": "Packets and wills that wait for an answer of the mesh.",
    "wills_waiting": "Wills whose delay runs.",
    "cached_topics": "Topics whose receivers are remembered.",
}
"""statistic -> meaning; the metric is `gateway_broker_<statistic>`."""

COUNTERS = {
    "sockets": "Connections opened.",
    "connects": "Clients let in.",
    "messages_in": "Messages published by clients.",
    "messages_out": "Messages delivered to clients.",
    "packets_in": "MQTT packets of all kinds read from clients.",
    "bytes_in": "Bytes read from clients.",
    "bytes_out": "Bytes written to clients.",
    "dropped": "Messages dropped for clients that read too slowly or stayed away too long.",
    "failed_logins": "Logins refused.",
    "throttled_logins": "Logins not even tried, after too many that failed.",
    "malformed": "Connections closed for breaking the protocol.",
    "taken_over": "Sessions taken over by a client of the same login and client id.",
    "cloned_identities": "Identities found to be used by two machines.",
    "expired_sessions": "Kept sessions whose clients did not come back in time.",
    "retained_refused": "Retained messages not kept, for want of room.",
    "wait_timeouts": "Packets and wills refused because the mesh did not answer.",
}
"""statistic -> meaning; the metric is `gateway_broker_<statistic>_total`."""

MOST_CLIENTS = "Clients that were logged in at once, at most."

LIMITS: Mapping[str, tuple[str, Callable[["Broker"], float]]] = {
    "connections": (
        "Connections allowed at the same time.",
        lambda broker: broker.limits.connections,
    ),
    "retained": ("Retained messages kept at most.", lambda b: b.routing.retained.max_count),
    "retained_bytes": ("Bytes of them at most.", lambda b: b.routing.retained.max_bytes),
    "queued_bytes": (
        "Bytes that may wait for all clients together.",
        lambda broker: broker.routing.bounds.all_bytes,
    ),
}
"""name -> meaning, how it is read; the metric is `gateway_broker_most_<name>`."""

JOURNAL: Mapping[str, tuple[str, str, Callable[[SqliteJournal], float]]] = {
    "groups_total": ("counter", "Groups of notes that are on disk.", lambda j: j.through),
    "open_groups": (
        "gauge",
        "Groups of notes that are not on disk yet.",
        lambda j: j.number - j.through,
    ),
    "live_bytes": ("gauge", "Bytes of messages that wait on disk.", lambda j: j.live_bytes),
    "log_bytes": ("gauge", "Bytes of the message log on disk.", lambda j: j.log_bytes),
    "damaged_items": ("gauge", "Things that could not be read at start.", lambda j: j.damaged),
}
"""name -> kind, meaning, how it is read; the metric is `gateway_broker_journal_<name>`."""


def add_broker(metrics: Metrics, parts: "Parts") -> None:
    """Add the broker's rows; nothing is read before somebody asks for them."""
    for name, meaning in GAUGES.items():
        metrics.gauge(f"gateway_broker_{name}", meaning, _statistic(parts, name))
    metrics.gauge(
        "gateway_broker_connections",
        "Open MQTT connections, by listener.",
        lambda: _by("listener", _broker(parts).by_listener),
    )
    for name, (meaning, read) in LIMITS.items():
        metrics.gauge(f"gateway_broker_most_{name}", meaning, _limit(parts, read))
    for name, meaning in COUNTERS.items():
        metrics.counter(f"gateway_broker_{name}_total", meaning, _statistic(parts, name))
    metrics.counter(
        "gateway_broker_refused_total",
        "Publishes, subscriptions and wills refused, by reason.",
        lambda: _by("reason", _broker(parts).refusals.by_reason),
    )
    metrics.counter(
        "gateway_broker_refused_connects_total",
        "Clients refused, by reason.",
        lambda: _by("reason", _broker(parts).refusals.connects_by_reason),
    )
    for name, (kind, meaning, read_journal) in JOURNAL.items():
        add = metrics.counter if kind == "counter" else metrics.gauge
        add(f"gateway_broker_journal_{name}", meaning, _journal(parts, read_journal))


def _broker(parts: "Parts") -> "Broker":
    return parts.mesh.broker


def _statistic(parts: "Parts", name: str) -> Callable[[], Any]:
    return lambda: _broker(parts).stats()[name]


def _limit(parts: "Parts", read: Callable[["Broker"], float]) -> Callable[[], Samples]:
    return lambda: read(_broker(parts))


def _journal(parts: "Parts", read: Callable[[SqliteJournal], float]) -> Callable[[], Samples]:
    def found() -> Samples:
        journal = _broker(parts).journal
        return read(journal) if isinstance(journal, SqliteJournal) else []

    return found


def _by(label: str, counts: Mapping[str, int]) -> Samples:
    return [({label: name}, count) for name, count in sorted(counts.items())]
