"""Budgets of failed logins: a guesser waits, its victim does not."""

from gateway.broker.logins import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_IDENTITY,
    REFILL_S,
    REMEMBERED,
    Logins,
)


def guessed(logins: Logins, address: str, identity: str, times: int) -> None:
    for _ in range(times):
        logins.failure(address, identity, 0.0)


def test_an_address_that_fails_too_often_waits() -> None:
    logins = Logins()
    guessed(logins, "evil", "a", FAILURES_PER_ADDRESS)
    assert not logins.may_try("evil", "b", 0.0)
    assert logins.may_try("good", "b", 0.0)


def test_a_spent_budget_refills() -> None:
    logins = Logins()
    guessed(logins, "evil", "a", FAILURES_PER_ADDRESS)
    assert logins.may_try("evil", "b", REFILL_S)


def test_who_logged_in_from_an_address_before_is_not_locked_out_by_its_neighbours() -> None:
    logins = Logins()
    logins.success("shared", "victim")
    guessed(logins, "shared", "other", FAILURES_PER_ADDRESS)
    assert logins.may_try("shared", "victim", 0.0)


def test_a_guessed_identity_is_closed_only_to_addresses_that_failed() -> None:
    logins = Logins()
    for number in range(FAILURES_PER_IDENTITY):
        logins.failure(f"bot-{number}", "victim", 0.0)
    assert not logins.may_try("bot-1", "victim", 0.0)
    assert logins.may_try("home", "victim", 0.0)


def test_memory_is_bounded() -> None:
    logins = Logins()
    for number in range(REMEMBERED + 10):
        logins.failure(f"a-{number}", f"i-{number}", 0.0)
        logins.success(f"a-{number}", f"i-{number}")
    assert len(logins._addresses._spent) == REMEMBERED
    assert len(logins._known) == REMEMBERED
