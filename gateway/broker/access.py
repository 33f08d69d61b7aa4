"""Who may do what on a topic: the table of the topic rules, section 2, and nothing else.

Pure and synchronous.  It knows neither registry nor configuration: what a role opens comes as `Principal.grants`.
Decisions are remembered by those who ask: a publish in the connection's routes, a subscription as its mark.
"""

from dataclasses import dataclass
from enum import Enum, auto

from gateway.model.device import is_uuid
from gateway.mqtt.filters import covers, is_valid_filter, is_wild, matches, overlaps
from gateway.mqtt.ports import Principal, PrincipalKind

REQUEST_TOPICS = frozenset(
    {"whoami", "update", "message", "resetToken", "getPublicKey", "generateAndStoreToken"}
)
JOB_TOPICS = frozenset({"meshblu/request", "meshblu/firehose"})
STATE_LEVELS = frozenset({"reading", "event", "availability", "result"})


class Row(Enum):
    """Kinds of topics, numbered as in the topic rules."""

    REQUEST = auto()  # 1
    UUID = auto()  # 2, 3
    JOB = auto()  # 4
    SYNC = auto()  # 5
    SYS = auto()  # 6
    STATE = auto()  # 7
    SET = auto()  # 7
    PLAIN = auto()  # 7 (homeassistant), 8
    RESERVED = auto()  # every other `$` topic


class Rule(Enum):
    """What happens to a publish or a subscription."""

    REFUSE = auto()
    JOB = auto()  # publish: the claim's; refused without one
    MESH = auto()  # uuid topics: the mesh is asked
    OWN_SYNC = auto()  # `$gateway/1/<own uuid>/...`: publish is the claim's, frames are pushed
    READ = auto()  # a granted filter opens it
    WRITE = auto()
    WRITE_LIVE = auto()  # as WRITE, but not retained
    UNCLAIMED = auto()  # as WRITE, past the claims: the mesh's words are ordinary topics to a user


_DEVICE = {
    Row.REQUEST: (Rule.JOB, Rule.REFUSE),
    Row.UUID: (Rule.MESH, Rule.MESH),
    Row.JOB: (Rule.JOB, Rule.REFUSE),
    Row.SYNC: (Rule.REFUSE, Rule.REFUSE),
    Row.SYS: (Rule.REFUSE, Rule.REFUSE),
    Row.STATE: (Rule.REFUSE, Rule.READ),
    Row.SET: (Rule.WRITE_LIVE, Rule.READ),
    Row.PLAIN: (Rule.WRITE, Rule.READ),
    Row.RESERVED: (Rule.REFUSE, Rule.REFUSE),
}
_USER = {
    Row.REQUEST: (Rule.UNCLAIMED, Rule.READ),
    Row.UUID: (Rule.REFUSE, Rule.REFUSE),
    Row.JOB: (Rule.REFUSE, Rule.REFUSE),
    Row.SYNC: (Rule.REFUSE, Rule.REFUSE),
    Row.SYS: (Rule.REFUSE, Rule.READ),
    Row.STATE: (Rule.REFUSE, Rule.READ),
    Row.SET: (Rule.WRITE_LIVE, Rule.READ),
    Row.PLAIN: (Rule.WRITE, Rule.READ),
    Row.RESERVED: (Rule.REFUSE, Rule.REFUSE),
}
_CHILD = {
    Row.REQUEST: (Rule.JOB, Rule.REFUSE),
    Row.UUID: (Rule.MESH, Rule.MESH),
    Row.JOB: (Rule.JOB, Rule.REFUSE),
    Row.SYNC: (Rule.OWN_SYNC, Rule.OWN_SYNC),
    Row.SYS: (Rule.REFUSE, Rule.REFUSE),
    Row.STATE: (Rule.REFUSE, Rule.REFUSE),
    Row.SET: (Rule.REFUSE, Rule.REFUSE),
    Row.PLAIN: (Rule.REFUSE, Rule.REFUSE),
    Row.RESERVED: (Rule.REFUSE, Rule.REFUSE),
}
TABLE = {
    PrincipalKind.DEVICE: _DEVICE,
    PrincipalKind.USER: _USER,
    PrincipalKind.CHILD: _CHILD,
}
"""kind -> row -> (publish, subscribe)."""

SHARE = "$share/"
SHARED_ROWS = {
    PrincipalKind.DEVICE: frozenset({Row.STATE, Row.SET, Row.PLAIN}),
    PrincipalKind.USER: frozenset({Row.STATE, Row.SET, Row.PLAIN, Row.REQUEST}),
    PrincipalKind.CHILD: frozenset(),
}

MESH_KINDS = frozenset({PrincipalKind.DEVICE, PrincipalKind.CHILD})
MESH_ROWS = frozenset({Row.UUID, Row.JOB, Row.SYNC})
"""Rows that even code in this process never publishes through the trie."""


def row_of(topic: str) -> Row:
    """Return the row of a topic, or of a filter by its first levels."""
    first, _, rest = topic.partition("/")
    if first[:1] == "$":
        return {"$gateway": Row.SYNC, "$SYS": Row.SYS}.get(first, Row.RESERVED)
    if not rest:
        if topic in REQUEST_TOPICS:
            return Row.REQUEST
        return Row.UUID if is_uuid(topic) else Row.PLAIN
    if first in {"meshblu", "meshbluClient"}:
        return Row.JOB
    if first == "devices":
        levels = rest.split("/")
        if len(levels) == 2:
            return Row.SET if levels[1] == "set" else _state(levels[1])
    return Row.PLAIN


def _state(level: str) -> Row:
    return Row.STATE if level in STATE_LEVELS else Row.PLAIN


@dataclass(frozen=True, slots=True)
class MayPublish:
    """What the table says of a publish; `refusal` is None when it may go on."""

    rule: Rule
    refusal: str | None = None


class SubscribeAs(Enum):
    """What a granted filter becomes."""

    REFUSED = auto()
    OPEN = auto()  # covered by the grants: never asked again
    CHECKED = auto()  # overlaps them: each topic is judged when its cache entry is built
    MESH = auto()  # the mesh keeps it
    PUSHED = auto()  # frames come without a subscription: granted, kept nowhere


def may_publish(principal: Principal, topic: str) -> MayPublish:
    """Judge a publish by a client."""
    rule = TABLE[principal.kind][row_of(topic)][0]
    if rule is Rule.REFUSE:
        return MayPublish(rule, "reserved")
    if rule is Rule.OWN_SYNC and not _is_own_sync(principal, topic):
        return MayPublish(rule, "another gateway's")
    if rule in {Rule.WRITE, Rule.WRITE_LIVE, Rule.UNCLAIMED} and not any(
        grant.write and matches(grant.pattern, topic) for grant in principal.grants
    ):
        return MayPublish(rule, "no role grants writing it")
    return MayPublish(rule)


def may_read(principal: Principal, topic: str) -> bool:
    """Judge the delivery of one topic to a client whose filter only overlaps its grants."""
    if TABLE[principal.kind][row_of(topic)][1] is not Rule.READ:
        return False
    return any(grant.read and matches(grant.pattern, topic) for grant in principal.grants)


def may_subscribe(principal: Principal, pattern: str) -> SubscribeAs:
    """Judge a filter; `$share/<group>/<filter>` opens rows 7 and 8 only (row 10 of the table)."""
    if pattern.startswith(SHARE):
        group, _, shared = pattern[len(SHARE) :].partition("/")
        if not group or is_wild(group) or not is_valid_filter(shared):
            return SubscribeAs.REFUSED
        is_open = row_of(shared) in SHARED_ROWS[principal.kind]
        return _by_grants(principal, shared) if is_open else SubscribeAs.REFUSED
    if not is_valid_filter(pattern):
        return SubscribeAs.REFUSED
    row = row_of(pattern)
    rule = TABLE[principal.kind][row][1]
    if rule is Rule.READ:
        return _by_grants(principal, pattern)
    if rule is Rule.MESH:
        return SubscribeAs.MESH
    if rule is Rule.OWN_SYNC and _is_own_sync(principal, pattern):
        return SubscribeAs.PUSHED
    return SubscribeAs.REFUSED


def _by_grants(principal: Principal, pattern: str) -> SubscribeAs:
    readable = [grant.pattern for grant in principal.grants if grant.read]
    if any(covers(wide, pattern) for wide in readable):
        return SubscribeAs.OPEN
    if is_wild(pattern) and any(overlaps(wide, pattern) for wide in readable):
        return SubscribeAs.CHECKED
    return SubscribeAs.REFUSED


def _is_own_sync(principal: Principal, topic: str) -> bool:
    levels = topic.split("/", 3)
    return len(levels) == 4 and levels[1] == "1" and levels[2] == principal.name
