"""Loops through other brokers, cut: by the way a message says it has come, or by what was just sent.

MQTT 5 carries a user property for each gateway that a message passed, so a gateway knows its own message however
far it went.  MQTT 3.1.1 carries nothing: there a bounded memory of what was just handed on recognises what returns,
once for each time it was sent, and only where the rules let it return at all.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from gateway.broker.peers.rules import TakesThere
from gateway.mqtt.properties import USER_PROPERTY, Properties

HOP = "gateway-hop"
MOST_HOPS = 16  # as in the mesh (topic rules, section 4)
MOST_REMEMBERED = 4096
REMEMBERED_S = (
    10.0  # a broker on the same network answers in milliseconds, over a bad line in seconds
)


def hop_name(node: str) -> str:
    """Return what a node writes into messages that pass it; its uuid itself is nobody's business."""
    return hashlib.sha256(node.encode()).hexdigest()[:16]


def hops_of(properties: Properties) -> list[str]:
    """Return the gateways that a message has passed."""
    return [value for name, value in properties.get(USER_PROPERTY, ()) if name == HOP]


def with_hop(properties: Properties, hop: str) -> Properties:
    """Return properties that say that a message passed one more gateway."""
    return {**properties, USER_PROPERTY: [*properties.get(USER_PROPERTY, ()), (HOP, hop)]}


Key = tuple[str, str, bytes]  # bridge, topic there, digest of the payload


class Loops:
    """What all bridges of a node know together."""

    def __init__(self, node: str, now: Callable[[], float]) -> None:
        """`now` is a clock in seconds that never goes back."""
        self.hop = hop_name(node)
        self._now = now
        self._takes: dict[str, TakesThere] = {}
        self._sent: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def join(self, bridge: str, takes: TakesThere) -> None:
        """Take a bridge into account."""
        self._takes[bridge] = takes

    def came_back(self, properties: Properties) -> str | None:
        """Return why a message goes no further, judged by the way it came."""
        hops = hops_of(properties)
        if self.hop in hops:
            return "loop"
        return "hops" if len(hops) >= MOST_HOPS else None

    def note(self, bridge: str, topic: str, payload: bytes, *, own_returns: bool) -> None:
        """Remember what was sent without a trace, if a bridge could bring it back.

        `own_returns`: the other broker sends a client its own messages.
        """
        if not any(
            takes(topic) for name, takes in self._takes.items() if own_returns or name != bridge
        ):
            return
        key = (bridge, topic, _digest(payload))
        count, _ = self._sent.pop(key, (0, 0.0))
        self._sent[key] = (count + 1, self._now() + REMEMBERED_S)
        if len(self._sent) > MOST_REMEMBERED:
            self._sent.popitem(last=False)

    def is_known(self, bridge: str, topic: str, payload: bytes, *, own_returns: bool) -> bool:
        """Return whether this is a message that was sent from here and now returns; forgets it once."""
        if not self._sent:
            return False
        digest = _digest(payload)
        return any(
            self._forget((name, topic, digest))
            for name in self._takes
            if own_returns or name != bridge
        )

    def _forget(self, key: Key) -> bool:
        count, until = self._sent.get(key, (0, 0.0))
        if not count:
            return False
        if count > 1:
            self._sent[key] = (count - 1, until)
        else:
            del self._sent[key]
        return self._now() < until


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()
