"""Who is at the other end of a socket: by which listener, from where, with which proofs, in which dialect."""

from gateway.broker.entrance import Entrance
from gateway.broker.pausing import PausedInput
from gateway.mqtt.ports import PeerCertificate, Principal, PrincipalKind

NOBODY = Principal(PrincipalKind.USER, "")


class Caller(PausedInput):
    """The part of a connection that says who it is."""

    __slots__ = ("_peer", "client_id", "entrance", "most_bytes", "principal", "since", "version")

    def __init__(self, entrance: Entrance) -> None:
        """Begin as nobody."""
        super().__init__()
        self.entrance = entrance
        self.principal = NOBODY
        self.client_id = ""
        self.version = 4
        self.most_bytes = 0  # largest packet the client takes; 0: any
        self.since = 0.0  # of the broker's clock: the login, before it the socket
        self._peer = ""

    @property
    def listener(self) -> str:
        """Return the name of the listener it came by."""
        return self.entrance.name

    @property
    def peer(self) -> str:
        """Return "address:port" of the other end, for logs and budgets; made anew each time: most never ask."""
        if self._peer or self.transport is None:
            return self._peer or "gone"
        peer = self.transport.get_extra_info("peername")
        return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer or "local")

    def remember_peer(self) -> None:
        """Keep what `peer` is: the socket closes and will not say it any more."""
        self._peer = self.peer

    @property
    def certificate(self) -> PeerCertificate | None:
        """Return the client certificate that TLS verified, if there is one."""
        found = self._extra("gateway.certificate")
        return found if isinstance(found, PeerCertificate) else None

    @property
    def uid(self) -> int | None:
        """Return the user id of the process at the other end of a Unix socket."""
        found = self._extra("gateway.uid")
        return found if isinstance(found, int) else None

    def _extra(self, name: str) -> object:
        return self.transport.get_extra_info(name) if self.transport is not None else None
