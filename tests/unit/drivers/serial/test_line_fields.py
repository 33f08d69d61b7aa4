"""key=value and CSV lines are taken whole or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.serial.line_fields import DRIVER
from gateway.errors import UnsupportedCommandError
from gateway.model import Command, DeviceUuid, Stamp

AT = Stamp("boot-1", 1000)


def opened(**settings):
    return DRIVER.open(DRIVER.settings(**{"starts_whole": True, **settings}), "serial:x")


def values(codec, data):
    return [(r.hardware_id, r.quantity, r.value, r.unit) for r in codec.feed(data, AT)]


@pytest.mark.parametrize(
    "line", [b"T=21.5;H=48;", b"T=21.5, H=48", b"T=21.5&H=48", b"T=21.5\tH=48\r"]
)
def test_pairs_may_be_separated_in_many_ways(line):
    assert values(opened(), line + b"\n") == [
        ("serial:x", "T", 21.5, "Cel"),
        ("serial:x", "H", 48, "%RH"),
    ]


def test_columns_are_configured_and_an_unnamed_one_is_left_out():
    codec = opened(columns=["id", "t", "", "note"])
    assert values(codec, b"a7, 21.5 ,9,on\n") == [
        ("serial:x/a7", "t", 21.5, "Cel"),
        ("serial:x/a7", "note", "on", ""),
    ]


def test_an_empty_field_says_nothing():
    assert values(opened(columns=["t", "h"]), b",48\n") == [("serial:x", "h", 48, "%RH")]


@pytest.mark.parametrize(
    "line", [b"hello", b"T=1;oops", b"=5", b"1T=5", b"\xff=1", b"T=1e999", b"T=\x01"]
)
def test_a_line_with_a_flaw_is_dropped_whole(line):
    codec = opened()
    assert values(codec, line + b"\n") == []
    assert codec.counters["garbled"] == 1


@pytest.mark.parametrize("line", [b"1,2", b"1,2,3,4", b"hello"])
def test_a_line_with_another_number_of_columns_is_dropped(line):
    assert values(opened(columns=["a", "b", "c"]), line + b"\n") == []


def test_the_line_in_which_the_port_was_opened_is_dropped():
    codec = opened(columns=["pressure"], starts_whole=False)
    assert values(codec, b"3.25\n1013.25\n") == [("serial:x", "pressure", 1013.25, "hPa")]


@given(st.binary(max_size=200), st.booleans())
def test_garbage_never_raises(data, is_csv):
    opened(columns=["a", "b"] if is_csv else []).feed(data + b"\n", AT)


def test_it_takes_no_commands():
    with pytest.raises(UnsupportedCommandError):
        opened().encode(Command("c", DeviceUuid("d"), DeviceUuid("a"), "set", {}, 1))
