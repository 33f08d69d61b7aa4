"""What is wrong with a bridge to another broker that no single key shows: rules that nothing may follow, halves of pairs."""

from collections.abc import Iterator, Sequence

from gateway.config.problems import Complaint, Loc
from gateway.config.schema import BridgeSettings, BridgeTopicSettings
from gateway.model.device import is_uuid
from gateway.mqtt.filters import is_valid_filter, is_wild

REQUESTS = frozenset(
    {"whoami", "update", "message", "resetToken", "getPublicKey", "generateAndStoreToken"}
)
JOBS = frozenset({"meshblu", "meshbluClient"})

NEEDS = (
    ("certificate_file", "key_file"),
    ("key_file", "certificate_file"),
    ("password_file", "username"),
)
"""(key, what must be given beside it)"""

TLS_KEYS = ("ca_file", "certificate_file", "key_file")


def bridge_faults(bridges: Sequence[BridgeSettings]) -> Iterator[tuple[Loc, str, Complaint]]:
    """Yield (place, item, fault) of each; a bridge with one is parked as a whole."""
    for index, bridge in enumerate(bridges):
        loc, what = ("mqtt", "bridges", index), f"bridge {bridge.name}"
        for key, fault in _own_faults(bridge):
            yield (*loc, key), what, fault
        for number, rule in enumerate(bridge.topics):
            for key, fault in _rule_faults(rule):
                yield (*loc, "topics", number, key), what, fault


def _own_faults(bridge: BridgeSettings) -> Iterator[tuple[str, Complaint]]:
    for given, needed in NEEDS:
        if getattr(bridge, given) is not None and getattr(bridge, needed) is None:
            yield given, Complaint("GW-1004", f"`{given}` alone", f"`{needed}` beside it")
    if not bridge.tls:
        for name in TLS_KEYS:
            if getattr(bridge, name) is not None:
                yield (
                    name,
                    Complaint("GW-1140", "a certificate without TLS", "`tls = true`, or none"),
                )
    if not bridge.topics:
        yield (
            "topics",
            Complaint(
                "GW-1140",
                "no rule",
                'at least one, such as {direction = "out", filter = "devices/#"}',
                "write what is to cross into `topics` of this bridge",
            ),
        )
    topic = bridge.state_topic
    if topic is not None and (is_wild(topic) or is_of_the_mesh(topic)):
        yield (
            "state_topic",
            Complaint("GW-1140", repr(topic), "an ordinary topic without wildcards"),
        )


def _rule_faults(rule: BridgeTopicSettings) -> Iterator[tuple[str, Complaint]]:
    for key in ("local_prefix", "remote_prefix"):
        prefix = getattr(rule, key)
        if is_wild(prefix) or "\0" in prefix:
            yield key, Complaint("GW-1140", repr(prefix), "a text without `+` and `#`")
            return
    for side, prefix in (("here", rule.local_prefix), ("there", rule.remote_prefix)):
        pattern = prefix + rule.filter
        if "\0" in pattern or not is_valid_filter(pattern):
            expected = "a filter: `+` stands alone in its level, `#` in the last one"
            yield "filter", Complaint("GW-1140", repr(pattern), expected)
            return
        if is_of_the_mesh(pattern):
            found = f"{pattern!r} {side}, which is the mesh's or a broker's own"
            hint = "name ordinary topics: requests, uuids, `meshblu/...` and `$...` never cross a bridge"
            yield "filter", Complaint("GW-1140", found, "ordinary topics", hint)
            return


def is_of_the_mesh(pattern: str) -> bool:
    """Return whether a topic, or all that a filter matches, lies in rows 1-6 of the access table or is reserved.

    Wide filters (`#`, `+`) are not: what they match of these rows is left out when it comes.
    """
    first, slash, _ = pattern.partition("/")
    if first.startswith("$") or (slash and first in JOBS):
        return True
    return is_uuid(pattern) or pattern in REQUESTS
