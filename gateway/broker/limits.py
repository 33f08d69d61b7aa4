"""How much a broker lets clients use; each number with its reason."""

from dataclasses import dataclass

from gateway.mqtt.queues import DropPolicy

LOOK_AHEAD_BYTES = 64 << 10  # input kept while a reader is paused
WAIT_S = 5.0  # how long a packet may wait for an answer of the mesh
SWEEP_S = 0.5  # keep-alive and CONNECT deadlines are this exact
SESSIONS_PER_DEVICE = 16
KEPT_PER_DEVICE = 4
KEPT_S = 7 * 86_400.0  # a kept session nobody came back to
TAKEOVERS_PER_MINUTE = 5  # more is two machines with one identity
OVERFLOW_CONNECTIONS = (
    64  # above the limit, answered with CONNACK 3; beyond these the socket is just closed
)
CONNECT_BYTES = 64 << 10  # largest packet before anybody has logged in


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration may change."""

    connections: int = 1000
    packet_bytes: int = 1 << 20
    connect_s: float = 10.0  # a socket that sends no CONNECT
    unsent_bytes: int = 1 << 20  # per client, then QoS 0 is dropped and QoS 1 queued
    keep_alive_s: int = 0  # longest honoured; 0: what the client asks, for ever if it asks for none
    drop: DropPolicy = DropPolicy.OLDEST
