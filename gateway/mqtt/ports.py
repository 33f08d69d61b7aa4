"""What a broker needs from outside, and what code in the same process may ask of it.

All of it is synchronous: the fast path never waits for a coroutine.  Whoever lacks an answer says `Wait(key)`;
one resolver answers all keys of a loop tick with one query and calls `resume`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class PrincipalKind(StrEnum):
    """Who a session belongs to (topic rules, section 1)."""

    DEVICE = "device"  # name is a device uuid, lower case
    USER = "user"  # name is not uuid-shaped
    CHILD = "child"  # a gateway's device, accepted as a child; name is its uuid
    NODE = "node"  # code in this process


JOINING = "joining"
"""Role of a CHILD session that logged in with an invitation: it may join, and is no device before that."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A filter that a role may read, write or both; matched like an MQTT filter."""

    pattern: str
    read: bool = False
    write: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated identity; `grants` open rows 6-8 of the access table for it."""

    kind: PrincipalKind
    name: str
    grants: tuple[Grant, ...] = ()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a CONNECT said, before anything is believed."""

    client_id: str
    username: str | None
    password: bytes | None = field(repr=False)
    peer: str  # "127.0.0.1:51234", for logs and budgets
    listener: str  # name of the listener it came by
    certificate: "PeerCertificate | None" = None  # verified by TLS
    uid: int | None = None  # of the process at the other end of a Unix socket


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A client's certificate that chains to a CA we trust."""

    common_name: str  # "" when it has none
    names: tuple[str, ...]  # DNS and URI alternative names
    fingerprint: str  # SHA-256, lower-case hex


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refused login: `code` is the 3.1.1 CONNACK return code (4 bad credentials, 5 not authorised, 3 busy).

    MQTT 5 clients get the reason code that means the same.
    """

    code: int
    reason: str


class Authenticator(Protocol):
    """Judges a CONNECT; calls `done` exactly once, at once or later on the event loop."""

    def __call__(
        self, credentials: Credentials, done: Callable[[Principal | Rejected], None]
    ) -> None:
        """Answer through `done`; the connection's input is parked meanwhile."""
        ...


class Session(Protocol):
    """One live MQTT session as claims and observers see it. Hashable; lives as long as its connection."""

    principal: Principal
    client_id: str

    @property
    def peer(self) -> str:
        """Return "address:port" of the other end."""
        ...


@dataclass(frozen=True, slots=True)
class Publish:
    """A PUBLISH that a claim is asked about.

    Response topic and correlation data (MQTT 5) only label an answer on this connection; they are never routed.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """Verdict: treat it as an ordinary publish."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """Verdict: taken. PUBACK leaves once `settled(settle)` was reached (0: at once)."""

    settle: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Verdict: dropped and counted, acknowledged as its QoS asks, logged once a minute."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Verdict: ask again for this packet once `resume(key)` is called; the session's input is parked."""

    key: str


Verdict = Routed | Consumed | Refused | Wait
ROUTED = Routed()
CONSUMED = Consumed()

PublishHandler = Callable[[Session, Publish], Verdict]


@dataclass(frozen=True, slots=True)
class Granted:
    """Answer to a SUBSCRIBE to a claimed filter: SUBACK with this QoS (128: refused)."""

    qos: int


SubscribeHandler = Callable[[Session, str, int], Granted | Wait]
UnsubscribeHandler = Callable[[Session, str], None]


class SessionObserver(Protocol):
    """Told of sessions of one kind after authentication and at their end."""

    def opened(self, session: Session) -> None:
        """Handle a session that may now send and receive."""
        ...

    def closed(self, session: Session, reason: str) -> None:
        """Handle the end of a session, whatever ended it."""
        ...


class LocalBroker(Protocol):
    """The broker as code in this process sees it (principal NODE: every row of the access table)."""

    def claim(self, pattern: str, handler: PublishHandler) -> None:
        """Give PUBLISHes on an exact topic, or on `prefix/#`, to `handler`; overlapping claims raise ConfigError."""
        ...

    def claim_uuids(
        self, publish: PublishHandler, subscribe: SubscribeHandler, unsubscribe: UnsubscribeHandler
    ) -> None:
        """Give everything on uuid-shaped topics (rows 2-3) to the mesh; none of it enters the trie."""
        ...

    def observe(self, observer: SessionObserver) -> None:
        """Tell `observer` of every DEVICE and CHILD session."""
        ...

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Publish as the node."""
        ...

    def subscribe(
        self, pattern: str, callback: Callable[[str, bytes, bool], None]
    ) -> Callable[[], None]:
        """Call `callback(topic, payload, retained)` for each match; returns what ends it."""
        ...

    def deliver(self, session: Session, topic: str, payload: bytes, qos: int = 0) -> bool:
        """Push one frame to one session, past the trie; False when the session is gone or too far behind."""
        ...

    def resume(self, keys: Sequence[str]) -> None:
        """Ask again for every packet parked on one of `keys`."""
        ...

    def settled(self, through: int) -> None:
        """Release the acknowledgements of everything settled up to and including this number."""
        ...

    def kick(self, session: Session, reason: str) -> None:
        """Close a session, for instance because its token was revoked."""
        ...

    def refused(self, session: Session, topic: str, reason: str) -> None:
        """Count and log (once a minute per identity and topic) something the table or a claim refused."""
        ...
