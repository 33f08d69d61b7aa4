"""What a connection inherits from the listener it came by: who may log in there, and within which limits."""

from dataclasses import dataclass, field

from gateway.mqtt.ports import Principal, PrincipalKind

BRIDGE = "bridge:"
"""Begins the identity of a bridge to another broker; no user may have such a name (`config.roles.RESERVED`)."""

EVERYBODY = frozenset({PrincipalKind.DEVICE, PrincipalKind.CHILD, PrincipalKind.USER})


@dataclass(frozen=True, slots=True)
class Entrance:
    """One listener as its connections see it."""

    name: str
    kinds: frozenset[PrincipalKind] = EVERYBODY  # who may log in here; others get "not authorised"
    roles: frozenset[str] | None = (
        None  # a user needs one of these; None: any. What they open is the authenticator's
    )
    anonymous: Principal | None = None  # who a client without user name is; None: refused
    most_connections: int | None = None  # at once, by this listener; None: the broker's limit alone
    most_packet_bytes: int | None = None  # None: the broker's limit
    preset: Principal | None = field(default=None, repr=False)  # code in this process: no login
