"""From samples to figures: what is void, what a message cost, ratios, the flat object and the table. Pure."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scripts._bench._broker.scenarios import SCENARIOS, Counts

OURS = {"ours": "", "ours_plain": "_plain"}
"""Our contenders -> what their ratios' names end with."""
YARDSTICK = "mosquitto"
VOID, FAILED, MISSING = "void", "failed", "missing"

Figure = float | str
"""A number, or why there is none: void, failed or missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one contender; `figure` in the unit of its scenario."""

    figure: Figure
    note: str = ""
    p50_us: float = 0.0
    p99_us: float = 0.0


Samples = Mapping[str, Mapping[str, Sequence[Sample]]]
"""scenario -> contender -> one sample a round."""


def what_is_wrong(report: Mapping[str, float]) -> str | None:
    """Return why a load's report is worth nothing, or None: everything sent must have come, once, and been answered."""
    if report["lost"]:
        return f"{report['lost']:.0f} connections were closed"
    if report["received"] != report["expected"]:
        return f"{report['received']:.0f} of {report['expected']:.0f} came"
    if report["acked"] != report["sent"]:
        return f"{report['acked']:.0f} of {report['sent']:.0f} were acknowledged"
    if not report["received"]:
        return "nothing was sent"
    return None


def busy_s(before_ns: int, after_ns: int, idle_ns_per_s: float, took_s: float) -> float:
    """Return the CPU seconds that the load caused: what an idle broker would have used is taken off."""
    return max(0.0, (after_ns - before_ns - idle_ns_per_s * took_s) / 1e9)


def figure_of(counts: Counts, cpu_s: float, number: float) -> float:
    """Return CPU seconds a 100,000 messages, or connects a CPU second."""
    if counts is Counts.CONNECTS:
        return number / cpu_s if cpu_s else 0.0
    return cpu_s * 100_000 / number


def median_of(samples: Sequence[Sample]) -> Figure:
    """Return the middle figure; one round that is void or failed spoils the row."""
    numbers = []
    for sample in samples:
        if isinstance(sample.figure, str):
            return sample.figure
        numbers.append(sample.figure)
    return statistics.median(numbers) if numbers else MISSING


def ratio_of(mine: Sequence[Sample], theirs: Sequence[Sample]) -> Figure:
    """Return the middle of the rounds' ratios: both sides of one were measured within the same seconds."""
    for side in (mine, theirs):
        if isinstance(figure := median_of(side), str):
            return figure
    ratios = [
        a.figure / b.figure
        for a, b in zip(mine, theirs, strict=False)
        if isinstance(a.figure, float) and isinstance(b.figure, float) and b.figure
    ]
    return statistics.median(ratios) if ratios else VOID


def metric(scenario: str) -> str:
    """Return the name of a scenario's absolute figure."""
    return {
        Counts.MESSAGES: f"{scenario}_cpu_s_per_100k",
        Counts.CONNECTS: "connects_per_cpu_s",
        Counts.MEMORY: "bytes_per_connection",
    }[SCENARIOS[scenario].counts]


def metrics_of(samples: Samples) -> dict[str, Figure]:
    """Return one flat object: ours first, then everybody's absolute figures."""
    metrics: dict[str, Figure] = {}
    for scenario, by_contender in samples.items():
        for contender, suffix in OURS.items():
            if contender not in by_contender:
                continue
            mine = by_contender[contender]
            if SCENARIOS[scenario].counts is not Counts.MESSAGES:
                metrics[metric(scenario) + suffix] = median_of(mine)
            elif YARDSTICK in by_contender:
                name = f"{scenario}_vs_{YARDSTICK}{suffix}"
                metrics[name] = ratio_of(mine, by_contender[YARDSTICK])
    for scenario, by_contender in samples.items():
        for contender, rows in by_contender.items():
            metrics[f"{contender}_{metric(scenario)}"] = median_of(rows)
            metrics |= _delays(f"{contender}_{scenario}", rows)
    return metrics


def _delays(prefix: str, rows: Sequence[Sample]) -> dict[str, Figure]:
    timed = [row for row in rows if row.p50_us and isinstance(row.figure, float)]
    if not timed:
        return {}
    return {
        f"{prefix}_p50_us": statistics.median(row.p50_us for row in timed),
        f"{prefix}_p99_us": statistics.median(row.p99_us for row in timed),
    }


def table(metrics: Mapping[str, Figure], contenders: Iterable[str]) -> str:
    """Return the figures for people: a row for each scenario, ours against the yardstick first."""
    names = [name for name in contenders if any(key.startswith(f"{name}_") for key in metrics)]
    ratios = [f"{ours} / {YARDSTICK}" for ours in OURS if ours in names and YARDSTICK in names]
    rows = [["CPU seconds for 100,000 delivered messages", *ratios, *names]]
    for scenario, row in SCENARIOS.items():
        figures = [metrics.get(f"{name}_{metric(scenario)}") for name in names]
        if all(figure is None for figure in figures):
            continue
        against = [
            metrics.get(f"{scenario}_vs_{YARDSTICK}{OURS[ours.split(' ')[0]]}") for ours in ratios
        ]
        shown = [_shown(figure, row.counts) for figure in figures]
        rows.append([row.title, *(_shown(ratio, Counts.MESSAGES) for ratio in against), *shown])
    rows += _delay_rows(metrics, names, len(ratios))
    return aligned(rows)


def _delay_rows(metrics: Mapping[str, Figure], names: Sequence[str], blank: int) -> list[list[str]]:
    rows = []
    for scenario, row in SCENARIOS.items():
        for which in ("p50", "p99"):
            found = [metrics.get(f"{name}_{scenario}_{which}_us") for name in names]
            if any(figure is not None for figure in found):
                shown = [_shown(figure, Counts.MEMORY) for figure in found]
                rows.append([f"{row.title}: {which}, us", *[""] * blank, *shown])
    return rows


def _shown(figure: Figure | None, counts: Counts) -> str:
    if figure is None:
        return "-"
    if isinstance(figure, str):
        return figure
    return f"{figure:,.2f}" if counts is Counts.MESSAGES else f"{figure:,.0f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return columns: the first to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
