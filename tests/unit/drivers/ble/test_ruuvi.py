"""Ruuvi's formats, with the example values of its documentation and the markers for missing ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble.ruuvi import COMPANY_ID, DRIVER
from gateway.driver.contract import Advert
from gateway.model import Stamp


def heard(data):
    codec = DRIVER.open(DRIVER.settings(), "ble")
    said = codec.feed(Advert("AA:BB:CC:DD:EE:FF", -60, {}, {COMPANY_ID: data}), Stamp("b", 0))
    return {r.quantity: r.value for r in said}, codec.counters


def test_format_5_valid_example_of_the_documentation():
    values, _ = heard(bytes.fromhex("0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F"))
    assert values == {
        "temperature": 24.3,
        "humidity": 53.49,
        "pressure": 1000.44,
        "acceleration_x": 0.04,
        "acceleration_y": -0.04,
        "acceleration_z": 10.16,
        "acceleration_total": 10.16,
        "voltage": 2977,
        "movement_counter": 66,
    }


def test_format_5_without_any_value_says_nothing():
    values, counters = heard(bytes.fromhex("058000FFFFFFFF800080008000FFFFFFFFFFFFFFFFFFFFFF"))
    assert values == {}
    assert counters["good"] == 1


def test_format_3_has_sign_and_magnitude():
    values, _ = heard(bytes.fromhex("03298145CE1E FC18 03E8 0000 0B53".replace(" ", "")))
    assert values == {
        "temperature": -1.69,
        "humidity": 20.5,
        "pressure": 1027.66,
        "acceleration_x": -9.81,
        "acceleration_y": 9.81,
        "acceleration_z": 0.0,
        "acceleration_total": 13.87,
        "voltage": 2899,
    }


def test_format_6_without_any_value_says_nothing():
    values, _ = heard(bytes.fromhex("068000FFFFFFFFFFFFFFFFFFFFFFFFFFC0FFFFFF"))
    assert values == {}


@pytest.mark.parametrize(
    "data", [b"", b"\x05", b"\x05" + bytes(22), b"\x07" + bytes(30), b"\xe1" + bytes(40)]
)
def test_short_and_unknown_formats_are_dropped(data):
    values, _ = heard(data)
    assert values == {}


@given(st.sampled_from([3, 5, 6]), st.binary(max_size=40))
def test_garbage_never_raises(form, data):
    heard(bytes([form]) + data)
