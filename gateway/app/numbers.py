"""The node's metrics for Prometheus: what each number means, and where it is read."""

import time
from typing import TYPE_CHECKING

from gateway.app.broker_numbers import add_broker
from gateway.app.peering import add_bridges
from gateway.runtime.metrics import Metrics, add_process

if TYPE_CHECKING:
    from gateway.app.parts import Parts


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
    add_process(metrics)
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
    add_broker(metrics, parts)
    add_bridges(metrics, parts)
    return metrics
