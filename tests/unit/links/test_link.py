"""How links tell how they are."""

import logging

import pytest

from gateway.errors import TransientError
from gateway.links.link import Health, LinkState
from tests.fakes.clock import FakeClock


def test_a_change_of_state_is_dated_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock(uptime_ms=1_000)
    health = Health("port", clock, ("opened",))
    caplog.set_level(logging.INFO, "gateway.links.link")
    for _ in range(3):
        clock.advance(1_000)
        health.become(LinkState.MISSING, "gone", "plug it in")
    assert health.as_dict()["since"] == 2_000
    assert [record.message for record in caplog.records] == ["link not open"]


def test_another_reason_is_a_change_too() -> None:
    clock = FakeClock(uptime_ms=1_000)
    health = Health("port", clock, ())
    health.become(LinkState.WAITING, "denied")
    clock.advance(1_000)
    health.become(LinkState.WAITING, "broken")
    assert health.as_dict()["since"] == 2_000


def test_an_error_brings_its_code_and_opening_clears_it() -> None:
    health = Health("port", FakeClock(), ())
    health.fail(LinkState.HELD, TransientError("held", code="GW-1202", hint="end it"))
    assert (health.as_dict()["code"], health.as_dict()["hint"]) == ("GW-1202", "end it")
    health.become(LinkState.OPEN)
    assert (health.as_dict()["code"], health.as_dict()["hint"]) == ("", "")
