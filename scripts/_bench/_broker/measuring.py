"""One measurement: a fresh broker, the load against it, and what that cost."""

import time

from scripts._bench._broker import cost
from scripts._bench._broker.contenders import DiedError, MissingError, Running, started
from scripts._bench._broker.figures import (
    FAILED,
    MISSING,
    VOID,
    Sample,
    busy_s,
    figure_of,
    what_is_wrong,
)
from scripts._bench._broker.load import Load, LoadFailedError, loading
from scripts._bench._broker.scenarios import Counts, Scenario

QUIET_S = 1.0
SETTLE_S = 0.3  # after the last delivery: its acknowledgement still has to be read
DURABLE_SETTLE_S = 2.5  # and what nobody waits for is written within two seconds
BUSY_SHARE = 0.9  # of its core; above it the load may have been what was measured


def measure(contender: str, scenario: Scenario) -> Sample:
    """Measure once; a contender that is missing, crashes or loses messages gives a sample that says so."""
    try:
        with started(contender, users=scenario.users, is_durable=scenario.is_durable) as broker:
            return _measure(broker, scenario)
    except MissingError as missing:
        return Sample(MISSING, f"to have it measured: {missing}")
    except (DiedError, LoadFailedError) as failure:
        return Sample(FAILED, str(failure))


def _measure(broker: Running, scenario: Scenario) -> Sample:
    with loading(broker.port, scenario.settings()) as load:
        load.answer()
        sample = (
            _memory(broker, load)
            if scenario.counts is Counts.MEMORY
            else _cpu(broker, load, scenario)
        )
    return sample if broker.is_alive() else Sample(FAILED, "it ended by itself")


def _cpu(broker: Running, load: Load, scenario: Scenario) -> Sample:
    idle = cost.idle_ns_per_s(broker.pid, QUIET_S)
    before, since = cost.cpu_ns(broker.pid), time.monotonic()
    load.go()
    report = load.answer()
    time.sleep(DURABLE_SETTLE_S if scenario.is_durable else SETTLE_S)
    after, took_s = cost.cpu_ns(broker.pid), time.monotonic() - since
    if not broker.is_alive():
        return Sample(FAILED, "it ended by itself")
    if wrong := what_is_wrong(report):
        return Sample(VOID, wrong)
    figure = figure_of(scenario.counts, busy_s(before, after, idle, took_s), report["received"])
    note = f"{report['received']:,.0f} in {report['took_s']:.2f} s"
    if report["load_cpu_s"] > BUSY_SHARE * report["took_s"]:
        note += ", the load had no time to spare"
    return Sample(figure, note, report["p50_us"], report["p99_us"])


def _memory(broker: Running, load: Load) -> Sample:
    before = cost.rss_bytes(broker.pid)
    load.go()
    connected = load.answer()["ready"]
    time.sleep(QUIET_S)
    grown = cost.rss_bytes(broker.pid) - before
    load.go()
    report = load.answer()
    if wrong := what_is_wrong(report):
        return Sample(VOID, wrong)
    return Sample(grown / connected, f"{connected:,.0f} connections, each answers a ping")
