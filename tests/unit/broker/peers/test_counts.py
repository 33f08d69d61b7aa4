"""What does not cross is counted with its reason, and logged once a minute."""

import logging

import pytest

from gateway.broker.peers.counts import LOG_EVERY_S, MEANINGS, QUIET, Counts


def test_each_reason_is_logged_once_a_minute_with_its_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    counts = Counts("home", lambda: now[0])
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            counts.drop("size", "a/b")
        counts.drop("rule", "a/b")
        now[0] += LOG_EVERY_S
        counts.drop("size", "a/b")
    assert [(record.why, record.count) for record in caplog.records] == [  # type: ignore[attr-defined]
        (MEANINGS["size"], 1),
        (MEANINGS["rule"], 1),
        (MEANINGS["size"], 5),
    ]
    assert counts.dropped == {"size": 6, "rule": 1}


def test_what_is_the_bridges_own_work_is_counted_alone(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counts("home", lambda: 0.0)
    for reason in QUIET:
        counts.drop(reason, "a")
    assert caplog.records == []
    assert set(MEANINGS) > QUIET
