"""Budgets of failed logins: a guesser waits, its victim does not."""

import pytest

from gateway.broker.logins import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_IDENTITY,
    FAILURES_WHERE_KNOWN,
    REFILL_S,
    REMEMBERED,
    Logins,
    source_of,
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


def test_nobody_elsewhere_and_no_neighbour_who_guesses_others_locks_a_known_user_out() -> None:
    logins = Logins()
    logins.success("shared", "victim")
    for number in range(FAILURES_PER_IDENTITY):
        logins.failure(f"bot-{number}", "victim", 0.0)
    guessed(logins, "shared", "other", FAILURES_PER_ADDRESS)
    assert logins.may_try("shared", "victim", 0.0)
    assert not logins.may_try("shared", "other", 0.0)


def test_guesses_from_where_a_user_is_known_are_slowed_too_but_never_shut_it_out_for_long() -> None:
    logins = Logins()
    logins.success("shared", "victim")
    guessed(logins, "shared", "victim", FAILURES_WHERE_KNOWN)
    assert not logins.may_try("shared", "victim", 0.0)
    assert logins.may_try("shared", "victim", REFILL_S / FAILURES_WHERE_KNOWN)


def test_what_is_guessed_at_one_address_does_not_close_it_at_another_where_it_is_known() -> None:
    logins = Logins()
    logins.success("home", "victim")
    guessed(logins, "evil", "victim", 10 * FAILURES_PER_IDENTITY)
    assert logins.may_try("home", "victim", 0.0)
    assert logins.may_try("new place", "victim", 0.0)
    assert not logins.may_try("evil", "victim", 0.0)


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("local", "local"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_a_network_of_ipv6_is_one_source(address: str, source: str) -> None:
    assert source_of(address) == source


def test_memory_is_bounded() -> None:
    logins = Logins()
    for number in range(REMEMBERED + 10):
        logins.failure(f"a-{number}", f"i-{number}", 0.0)
        logins.success(f"a-{number}", f"i-{number}")
    assert len(logins._addresses._spent) == REMEMBERED
    assert len(logins._known) + len(logins._known_before) <= 2 * REMEMBERED
