"""The node's metrics for Prometheus: what each number means, and where it is read."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway.runtime.metrics import Metrics

if TYPE_CHECKING:
    from gateway.app.parts import Parts

BROKER_GAUGES = ("clients", "connections", "subscriptions", "retained", "queued")
BROKER_COUNTERS = ("messages_in", "messages_out", "bytes_in", "dropped", "refused", "failed_logins")


def metrics_of(parts: "Parts") -> Metrics:
    """Return the table; nothing is read before somebody asks for it."""
    metrics = Metrics()
    spool, intake = parts.stores.spool, parts.intake
    gauge, counter = metrics.gauge, metrics.counter
    gauge(
        "gateway_uptime_seconds",
        "Time since the node started.",
        lambda: time.monotonic() - parts.started,
    )
    counter(
        "gateway_cpu_seconds_total", "CPU time used, user and system.", lambda: sum(os.times()[:2])
    )
    gauge("gateway_devices", "Devices that this node brought.", lambda: len(intake.devices))
    counter("gateway_readings_total", "Readings accepted.", lambda: intake.counts["readings"])
    counter("gateway_events_total", "Events accepted.", lambda: intake.counts["events"])
    gauge(
        "gateway_spool_records", "Messages waiting for the parent.", lambda: spool.usage().records
    )
    gauge("gateway_spool_bytes", "Bytes of them, packed.", lambda: spool.usage().bytes)
    counter(
        "gateway_spool_taken_total", "Messages taken by the parent.", lambda: spool.usage().taken
    )
    counter(
        "gateway_spool_refused_total",
        "Messages refused by the parent.",
        lambda: spool.usage().refused,
    )
    counter(
        "gateway_spool_written_bytes_total",
        "Bytes handed to the disk.",
        lambda: spool.usage().written_bytes,
    )
    gauge(
        "gateway_uplink_online_ratio",
        "1 while the parent answers.",
        lambda: int(parts.uplinking.uplink.is_online),
    )
    counter("gateway_commits_total", "Commits of the log.", lambda: parts.stores.log.commits)
    gauge(
        "gateway_parked_items",
        "Things that wait for a person.",
        lambda: len(parts.status()["parked"]),
    )
    for name in BROKER_GAUGES:
        gauge(
            f"gateway_broker_{name}",
            f"MQTT broker: {name.replace('_', ' ')}.",
            _broker(parts, name),
        )
    for name in BROKER_COUNTERS:
        counter(
            f"gateway_broker_{name}_total",
            f"MQTT broker: {name.replace('_', ' ')}.",
            _broker(parts, name),
        )
    return metrics


def _broker(parts: "Parts", name: str) -> Callable[[], Any]:
    return lambda: parts.mesh.broker.stats()[name]
