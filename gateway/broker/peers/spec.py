"""One bridge as configured, its files read; and who it is on our own broker."""

from dataclasses import dataclass

from gateway.broker.entrance import BRIDGE
from gateway.broker.peers.refusals import Dial
from gateway.broker.peers.rules import Rules
from gateway.mqtt.ports import Principal, PrincipalKind

FIRST_RETRY_S = 1.0
MOST_QUEUED, MOST_QUEUED_BYTES = 10_000, 16 << 20


@dataclass(frozen=True, slots=True)
class BridgeSpec:
    """One bridge, its files read."""

    dial: Dial
    rules: Rules
    version: str  # "auto", "5" or "3.1.1"
    queue: tuple[int, int] = (MOST_QUEUED, MOST_QUEUED_BYTES)  # messages and bytes that may wait
    first_retry_s: float = FIRST_RETRY_S

    @property
    def name(self) -> str:
        """Return the bridge's name."""
        return self.dial.bridge

    @property
    def principal(self) -> Principal:
        """Return who the bridge is on our own broker: a user whose roles are its rules."""
        return principal_of(self.name, self.rules)


def principal_of(name: str, rules: Rules) -> Principal:
    """Return who a bridge is on our own broker."""
    return Principal(PrincipalKind.USER, BRIDGE + name, rules.grants, frozenset({"bridge"}))
