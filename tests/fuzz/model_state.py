"""What the model broker keeps: messages, subscriptions, what is due to whom, sessions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any

from tests.fakes.raw_packets import Prop
from tests.fakes.raw_reading import Packet

FORWARDED = (Prop.CONTENT_TYPE, Prop.USER)
WINDOW = 1000  # our broker's own, where a client allows more
ROOM = 4  # free places that one act of a test never fills


def is_match(pattern: str, topic: str) -> bool:
    """Return whether a filter matches a topic (4.7); no topic here begins with $."""
    wanted, levels = pattern.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in ("+", levels[index]):
            return False
    return len(wanted) == len(levels)


@dataclass(frozen=True)
class Said:
    """A message as it was published."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    expires_at: float = inf
    properties: dict[int, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """A subscription."""

    qos: int
    no_local: bool = False
    as_published: bool = False
    identifier: int = 0


@dataclass
class Due:
    """What a client must receive, or may."""

    said: Said
    qos: int
    retain: bool | None  # None: either
    identifiers: tuple[tuple[int, ...], ...]  # any of these
    batch: int  # what is in one batch comes in any order
    is_optional: bool = False
    shared: str = ""
    is_expired: bool = False  # before it was sent: only a crash can make the broker doubt that
    is_found: bool = False  # after a crash: nobody knows whether it had been sent

    def fits(self, packet: Packet, topic: str, now: float, version: int) -> bool:
        """Return whether a packet is this delivery."""
        told, said = packet.properties, self.said
        if (topic, packet.payload, packet.qos) != (said.topic, said.payload, self.qos):
            return False
        if self.retain not in {None, packet.retain}:
            return False
        if version < 5:
            return True
        left = None if said.expires_at == inf else max(0, ceil(said.expires_at - now))
        return (
            tuple(sorted(told.get(Prop.SUBSCRIPTION_ID, ()))) in self.identifiers
            and told.get(Prop.MESSAGE_EXPIRY) == left
            and {name: told[name] for name in FORWARDED if name in told} == said.properties
        )


@dataclass
class Shared:
    """A message for one of several clients."""

    pattern: str
    said: Said
    members: dict[int, Wanted]


@dataclass
class State:
    """A session."""

    version: int
    subscriptions: dict[str, Wanted] = field(default_factory=dict)
    due: list[Due] = field(default_factory=list)  # QoS 1 and 2
    due0: list[Due] = field(default_factory=list)
    again: list[tuple[int | None, Due]] = field(default_factory=list)  # to be sent once more
    inflight: dict[int, Due] = field(default_factory=dict)
    released: dict[int, Due] = field(default_factory=dict)  # PUBREC was sent
    owed: set[int] = field(default_factory=set)  # PUBRELs that must come
    received: set[int] = field(default_factory=set)  # QoS 2 ids of the client's own
    window: int = WINDOW
    expiry_s: float = 0
    until: float | None = None  # None: connected
    will: Said | None = None
    will_delay_s: float = 0
    will_expiry_s: float | None = None  # from its publication on
    will_at: float | None = None
    is_kept: bool = False  # the journal knows it

    @property
    def is_on(self) -> bool:
        return self.until is None

    @property
    def unfinished(self) -> int:
        return len(self.inflight) + len(self.released)

    @property
    def has_room(self) -> bool:
        """Return whether what is sent now is sent at once, for certain."""
        waiting = len(self.due) + len(self.again)
        return self.is_on and self.unfinished + waiting + ROOM <= self.window

    def open_ids(self) -> Iterator[tuple[int, Due, bool]]:
        """Yield (packet id, delivery, whether PUBREC was sent) of what the client has not finished."""
        for number, due in self.inflight.items():
            yield number, due, False
        for number, due in self.released.items():
            yield number, due, True
