"""Reason codes: both ways between MQTT 3.1.1 and 5."""

import pytest

from gateway.errors import MalformedFrameError
from gateway.mqtt import reasons


@pytest.mark.parametrize("code", range(6))
def test_a_return_code_comes_back_from_its_reason(code: int) -> None:
    assert reasons.connack_v3(reasons.connack_v5(code)) == code


def test_an_unknown_reason_is_unavailable_to_an_old_client_and_unspecified_to_a_new_one() -> None:
    assert reasons.connack_v3(reasons.QUOTA_EXCEEDED) == 3
    assert reasons.connack_v5(77) == reasons.UNSPECIFIED_ERROR


def test_a_violation_carries_its_reason_and_closes_as_a_malformed_frame() -> None:
    error = reasons.violation("a packet", reasons.PROTOCOL_ERROR)
    assert isinstance(error, MalformedFrameError)
    assert (error.reason, error.code) == (0x82, "GW-1101")
    assert reasons.violation("another").reason == 0x81
