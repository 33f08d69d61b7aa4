"""Who may register."""

import pytest

from gateway.errors import ForbiddenError
from gateway.mesh.registration import CODE_TTL_MS, QUOTA, QUOTA_MS, Registration, RegistrationMode
from tests.fakes.clock import FakeClock
from tests.fakes.mesh_node import device_uuid

A = device_uuid(1)


def policy(mode: str = "code") -> tuple[Registration, FakeClock]:
    clock = FakeClock()
    return Registration(RegistrationMode(mode), clock), clock


def test_open_admits_everybody_and_names_no_owner() -> None:
    registration, _ = policy("open")
    assert registration.admits(None, None) is None
    assert not registration.names_registrant_owner


def test_closed_admits_nobody_and_hands_out_nothing() -> None:
    registration, _ = policy("closed")
    assert registration.admits(A, None) is not None
    with pytest.raises(ForbiddenError, match="GW-1301"):
        registration.new_code()
    with pytest.raises(ForbiddenError, match="GW-1301"):
        registration.open_for(60)


def test_code_admits_a_logged_in_device_but_no_stranger() -> None:
    registration, _ = policy()
    assert registration.admits(A, None) is None
    assert "registrationCode" in (registration.admits(None, None) or "")
    assert registration.names_registrant_owner


def test_a_code_admits_once_in_any_spelling() -> None:
    registration, _ = policy()
    code = registration.new_code()
    assert registration.admits(None, code.lower().replace("-", " ")) is None
    assert registration.admits(None, code) is not None


def test_a_code_ends_after_a_day() -> None:
    registration, clock = policy()
    code = registration.new_code()
    clock.advance(CODE_TTL_MS)
    assert registration.admits(None, code) is not None


@pytest.mark.parametrize("code", ["", "0000-0000-0000", "ü", 7, ["x"], {}])
def test_a_wrong_code_admits_nobody(code: object) -> None:
    registration, _ = policy()
    registration.new_code()
    assert registration.admits(None, code) is not None


def test_codes_are_long_random_and_not_kept() -> None:
    registration, _ = policy()
    code = registration.new_code()
    assert len(code.replace("-", "")) * 5 >= 50  # bits
    assert code.replace("-", "") not in repr(vars(registration))
    assert code != registration.new_code()


def test_a_window_admits_everybody_until_it_closes() -> None:
    registration, clock = policy()
    registration.open_for(600)
    assert registration.open_s() == 600
    assert registration.admits(None, None) is None
    clock.advance(600_000)
    assert registration.admits(None, None) is not None
    registration.open_for(600)
    registration.open_for(0)
    assert registration.admits(None, None) is not None


def test_a_device_registers_so_many_an_hour() -> None:
    registration, clock = policy()
    assert all(registration.admits(A, None) is None for _ in range(QUOTA))
    assert registration.admits(A, None) == "Too many registrations by this device."
    assert registration.admits(device_uuid(2), None) is None
    clock.advance(QUOTA_MS)
    assert registration.admits(A, None) is None
