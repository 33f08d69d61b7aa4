"""What a message costs our MQTT broker in CPU and memory, beside mosquitto, aedes, nats-server and amqtt.

Each contender is started afresh for each scenario, with logins and topic rules on, in turn within a round, so that
both sides of a ratio were measured within seconds of each other.  Ours serves USERs with fifty grants; mosquitto has
one rule.  CPU is that of the broker's processes, to the nanosecond, less what they use when nothing happens.  A
figure is "void" when not all that was sent came, "failed" when the broker crashed, "missing" when it isn't here.
`*_vs_mosquitto` below 1 means ours is cheaper; `_plain` is ours without uvloop.
"""

import argparse
import sys
from collections.abc import Mapping

from scripts._bench._broker.contenders import CONTENDERS
from scripts._bench._broker.figures import FAILED, MISSING, Figure, Sample, metrics_of
from scripts._bench._broker.figures import table as figures_table
from scripts._bench._broker.load import allow_files, built
from scripts._bench._broker.measuring import measure
from scripts._bench._broker.scenarios import SCENARIOS, Scenario, sized
from scripts._errors import ScriptError

ROUNDS = 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say which scenarios and contenders."""
    parser.add_argument("--only", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; a,b")
    parser.add_argument("--contenders", metavar="A,B", help=f"of {', '.join(CONTENDERS)}")


def run(
    *, quick: bool, only: str | None = None, contenders: str | None = None
) -> dict[str, Figure]:
    """Return the figures; about four minutes when quick, twenty-five in full, a known bound for each sample."""
    names = chosen(only, SCENARIOS, "scenario")
    brokers = chosen(contenders, CONTENDERS, "contender")
    rounds = 1 if quick else ROUNDS
    rows = {name: sized(SCENARIOS[name], quick=quick, rounds=rounds) for name in names}
    allow_files(max(row.settings().get("clients", 200) for row in rows.values()))
    built()
    samples: dict[str, dict[str, list[Sample]]] = {
        name: {broker: [] for broker in brokers} for name in names
    }
    for number in range(rounds):
        for name, row in rows.items():
            if number < (row.rounds or rounds):
                _round(number, name, row, samples[name])
    return metrics_of(samples)


def _round(number: int, name: str, row: Scenario, samples: dict[str, list[Sample]]) -> None:
    for broker, so_far in samples.items():
        if so_far and so_far[-1].figure in {MISSING, FAILED}:
            continue  # it would be the same again
        sample = measure(broker, row)
        so_far.append(sample)
        figure = sample.figure if isinstance(sample.figure, str) else f"{sample.figure:,.3f}"
        print(f"{number + 1} {name:<12} {broker:<10} {figure:>10}  {sample.note}", file=sys.stderr)


def chosen(asked: str | None, known: Mapping[str, object], what: str) -> list[str]:
    """Return the names asked for, in the order of the table; raises ScriptError for an unknown one."""
    if asked is None:
        return list(known)
    wanted = {name.strip() for name in asked.split(",") if name.strip()}
    if strange := sorted(wanted - known.keys()):
        raise ScriptError(
            f"there is no {what} {', '.join(strange)}",
            code="GW-1958",
            hint=f"choose of {', '.join(known)}",
        )
    return [name for name in known if name in wanted]


def table(metrics: Mapping[str, Figure]) -> str:
    """Return the figures for people."""
    return figures_table(metrics, CONTENDERS)
