"""The scenarios: one row each, what the load does and what is counted."""

from dataclasses import dataclass, replace
from enum import Enum

IDENTITIES, IDENTITIES_QUICK = 10_000, 2_000
MSEC, MSEC_QUICK = 2_000, 600  # of publishing in a closed loop; slow brokers deliver less in it
DURABLE_TIMES = (
    4  # that: acknowledgements wait for commits, so fewer messages come in the same time
)
PACED, PACED_QUICK = 20_000, 4_000  # messages, all rounds together
PACED_PER_S = 500
LOGIN_USERS = 20


class Counts(Enum):
    """What a scenario's figure is."""

    MESSAGES = "cpu_s_per_100k"  # CPU seconds for 100,000 delivered messages; less is better
    CONNECTS = "per_cpu_s"  # connects a CPU second; more is better
    MEMORY = "bytes"  # of resident memory per connection; less is better


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row; `load` are settings of `mqtt_load.c`."""

    title: str
    counts: Counts = Counts.MESSAGES
    load: tuple[tuple[str, int], ...] = ()
    is_durable: bool = False
    rounds: int | None = None  # None: as many as the run has
    users: int = 1

    def settings(self) -> dict[str, int]:
        """Return the load's settings."""
        return dict(self.load)


def _row(title: str, counts: Counts = Counts.MESSAGES, **load: int) -> Scenario:
    return Scenario(title, counts, tuple(load.items()))


MANY = 100_000_000  # more than any broker takes in the time it has

SCENARIOS = {
    "qos1_lone": _row(
        "QoS 1, 100 publishers, one message in flight each",
        pubs=100, subs=1, qos=1, window=1, cap=800, count=MANY,
    ),
    "paced1": _row("QoS 1, 500 messages a second", pubs=1, subs=1, qos=1, window=1000, rate=PACED_PER_S),
    "paced0": _row("QoS 0, 500 messages a second", pubs=1, subs=1, qos=0, rate=PACED_PER_S),
    "qos1_window": _row(
        "QoS 1, 10 publishers, 20 in flight each", pubs=10, subs=1, qos=1, window=20, cap=800, count=MANY
    ),
    "durable_qos1": replace(
        _row(
            "QoS 1, 20 in flight, a kept session; ours on disk (FULL)",
            pubs=10, subs=1, qos=1, window=20, cap=800, count=MANY, kept=1,
        ),
        is_durable=True,
    ),
    "qos0_fanin": _row("QoS 0, 10 publishers, 1 subscriber", pubs=10, subs=1, qos=0, cap=5000, count=MANY),
    "filters100": _row(
        "QoS 0, 10 publishers, 100 wildcard filters",
        pubs=10, subs=1, qos=0, cap=5000, count=MANY, filters=100,
    ),
    "fanout": _row("QoS 0, 1 publisher, 20 subscribers", pubs=1, subs=20, qos=0, cap=200, count=MANY),
    "connects": replace(
        _row(
            "connects with a password, known users, a CPU second", Counts.CONNECTS,
            mode=1, users=LOGIN_USERS, count=20_000,
        ),
        users=LOGIN_USERS,
    ),
    "connections": replace(
        _row("bytes of memory per idle connection", Counts.MEMORY, mode=2, together=64),
        rounds=1,
    ),
}  # fmt: skip
"""In the order of the table for people: what a fleet of sensors does comes first."""


def sized(scenario: Scenario, *, quick: bool, rounds: int) -> Scenario:
    """Return a scenario with the counts of a full or a quick run."""
    load = scenario.settings()
    if "rate" in load:
        total = PACED_QUICK if quick else PACED
        load["count"] = -(-total // (scenario.rounds or rounds))
    elif scenario.counts is Counts.MEMORY:
        load["clients"] = load["users"] = IDENTITIES_QUICK if quick else IDENTITIES
        return replace(scenario, load=tuple(load.items()), users=load["users"])
    else:
        load["msec"] = (MSEC_QUICK if quick else MSEC) * (
            DURABLE_TIMES if scenario.is_durable else 1
        )
    return replace(scenario, load=tuple(load.items()))
