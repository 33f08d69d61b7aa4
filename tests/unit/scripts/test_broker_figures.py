"""`scripts/bench broker`: what voids a row, ratios of rounds, the flat object and the table."""

import pytest

from scripts._bench import broker
from scripts._bench._broker import figures
from scripts._bench._broker.figures import FAILED, MISSING, VOID, Sample
from scripts._bench._broker.scenarios import SCENARIOS, Counts, sized
from scripts._errors import ScriptError

GOOD = {"sent": 10.0, "expected": 20.0, "received": 20.0, "acked": 10.0, "lost": 0.0}
TARGETS = {
    "qos0_fanin_vs_mosquitto", "qos1_window_vs_mosquitto", "qos1_lone_vs_mosquitto", "paced0_vs_mosquitto",
    "paced1_vs_mosquitto", "fanout_vs_mosquitto", "filters100_vs_mosquitto", "durable_qos1_vs_mosquitto",
    "bytes_per_connection", "connects_per_cpu_s",
}  # fmt: skip


def rounds(*values: float | str) -> list[Sample]:
    return [Sample(value) for value in values]


def test_a_run_in_which_everything_came_once_counts() -> None:
    assert figures.what_is_wrong(GOOD) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"received": 19.0}, "19 of 20 came"),
        ({"received": 21.0}, "21 of 20 came"),
        ({"acked": 9.0}, "9 of 10 were acknowledged"),
        ({"lost": 1.0}, "1 connections were closed"),
        ({"sent": 0.0, "expected": 0.0, "received": 0.0, "acked": 0.0}, "nothing was sent"),
    ],
)
def test_a_run_that_lost_repeated_or_sent_nothing_is_void(change: dict[str, float], said: str) -> None:  # fmt: skip
    assert figures.what_is_wrong(GOOD | change) == said


def test_what_an_idle_broker_uses_is_taken_off() -> None:
    assert figures.busy_s(1_000_000_000, 4_000_000_000, 500_000_000.0, 2.0) == pytest.approx(2.0)


def test_less_than_idle_is_nothing_not_a_negative_cost() -> None:
    assert figures.busy_s(0, 1, 1e9, 1.0) == 0


def test_messages_cost_seconds_and_connects_are_counted_a_second() -> None:
    assert figures.figure_of(Counts.MESSAGES, 0.5, 50_000) == pytest.approx(1.0)
    assert figures.figure_of(Counts.CONNECTS, 0.5, 4_000) == pytest.approx(8_000)


def test_a_figure_is_the_middle_of_its_rounds() -> None:
    assert figures.median_of(rounds(3.0, 1.0, 2.0)) == 2.0


@pytest.mark.parametrize("word", [VOID, FAILED, MISSING])
def test_one_round_without_a_number_spoils_the_row(word: str) -> None:
    assert figures.median_of(rounds(1.0, word, 2.0)) == word
    assert figures.ratio_of(rounds(1.0, 1.0), rounds(1.0, word)) == word
    assert figures.ratio_of(rounds(word), rounds(1.0)) == word


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was ten times slower in the second round, for both.
    assert figures.ratio_of(rounds(1.0, 10.0, 1.0), rounds(2.0, 20.0, 2.0)) == pytest.approx(0.5)


def every_row() -> dict[str, dict[str, list[Sample]]]:
    values = {"ours": 1.0, "ours_plain": 2.0, "mosquitto": 4.0, "aedes": VOID}
    return {name: {who: rounds(value) for who, value in values.items()} for name in SCENARIOS}


def test_the_object_has_every_target_with_and_without_uvloop() -> None:
    metrics = figures.metrics_of(every_row())
    assert metrics.keys() >= TARGETS | {f"{name}_plain" for name in TARGETS}
    assert metrics["qos1_lone_vs_mosquitto"] == 0.25
    assert metrics["qos1_lone_vs_mosquitto_plain"] == 0.5
    assert metrics["connects_per_cpu_s"] == 1.0


def test_each_contender_has_its_absolute_figures() -> None:
    metrics = figures.metrics_of(every_row())
    assert metrics["mosquitto_qos0_fanin_cpu_s_per_100k"] == 4.0
    assert metrics["mosquitto_bytes_per_connection"] == 4.0
    assert metrics["aedes_connects_per_cpu_s"] == VOID


def test_without_the_yardstick_there_are_no_ratios() -> None:
    metrics = figures.metrics_of({"paced0": {"ours": rounds(1.0)}})
    assert metrics == {"ours_paced0_cpu_s_per_100k": 1.0}


def test_the_table_leads_with_lone_and_paced() -> None:
    lines = figures.table(figures.metrics_of(every_row()), ["ours", "mosquitto", "aedes"]).split("\n")  # fmt: skip
    assert [line.partition("  ")[0] for line in lines[1:4]] == [
        SCENARIOS[name].title for name in ("qos1_lone", "paced1", "paced0")
    ]
    assert lines[1].split()[-4:] == ["0.25", "1.00", "4.00", "void"]


def test_a_full_run_paces_twenty_thousand_messages_and_a_quick_one_four_thousand() -> None:
    full = sized(SCENARIOS["paced0"], quick=False, rounds=3).settings()["count"] * 3
    assert full >= 20_000
    assert sized(SCENARIOS["paced1"], quick=True, rounds=1).settings()["count"] == 4_000


def test_every_idle_connection_is_an_identity_of_its_own() -> None:
    row = sized(SCENARIOS["connections"], quick=False, rounds=3)
    assert row.users == row.settings()["users"] == row.settings()["clients"] == 10_000


def test_scenarios_and_contenders_are_chosen_by_name() -> None:
    assert broker.chosen("paced0, qos1_lone", SCENARIOS, "scenario") == ["qos1_lone", "paced0"]
    with pytest.raises(ScriptError, match="GW-1958 there is no contender emqx"):
        broker.chosen("emqx", {"ours": None}, "contender")
