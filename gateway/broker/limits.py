"""How much a broker lets clients use; each number with its reason."""

from dataclasses import dataclass

from gateway.mqtt.queues import DropPolicy, QueueBounds

LOOK_AHEAD_BYTES = 64 << 10  # input kept while a reader is paused
WAIT_S = 5.0  # how long a packet may wait for an answer of the mesh
SWEEP_S = 0.5  # keep-alive and CONNECT deadlines are this exact
SESSIONS_PER_DEVICE = 16
KEPT_PER_DEVICE = 4
KEPT_PER_USER = 1000  # one login may serve a whole fleet
WILL_GRACE_S = (
    30.0  # after a crash, clients get this long to come back before their wills are published
)
ALIASES_IN = 16  # topics that an MQTT 5 client may shorten
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
    queued: int = 1000  # QoS 1 and 2 messages that wait for one client
    queued_bytes: int = 1 << 20  # the same in bytes
    all_queued_bytes: int = 64 << 20  # of all clients together
    session_expiry_s: int = 7 * 86_400  # longest life of a session without its client
    messages_per_s: float = 0.0  # packets of one client, on average; 0: no limit
    bytes_per_s: float = 0.0  # the same in bytes

    def bounds(self) -> QueueBounds:
        """Return what sessions may hold."""
        return QueueBounds(self.queued, self.queued_bytes, self.drop, self.all_queued_bytes)
