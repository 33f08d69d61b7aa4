"""Readings become messages-to-be without loss."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bridge.devices import Device, Devices, grouped
from gateway.model import Event, HardwareId, Identity, Quality, Reading, Stamp

AT = Stamp("boot-1", 1000)


def identity(name="x"):
    return Identity(HardwareId(name), f"uuid-{name}", name, "d", "l", 0, None)


def reading(device, quantity, value=1, at=AT, quality=Quality.GOOD, unit="V"):
    return Reading(HardwareId(device), quantity, value, unit, at, quality)


def test_interleaved_devices_keep_one_message_each():
    groups = grouped([reading("a", "t"), reading("b", "t"), reading("a", "h")])
    assert [(g.hardware_id, list(g.payload)) for g in groups] == [("a", ["t", "h"]), ("b", ["t"])]


def test_a_quantity_that_comes_again_begins_a_new_message():
    groups = grouped([reading("a", "t", 1), reading("a", "h", 2), reading("a", "t", 3)])
    assert [g.payload for g in groups] == [{"t": 1, "h": 2}, {"t": 3}]


def test_another_moment_or_quality_begins_a_new_message():
    later = Stamp("boot-1", 1001)
    groups = grouped(
        [
            reading("a", "t"),
            reading("a", "h", at=later),
            reading("a", "p", at=later, quality=Quality.STALE),
        ]
    )
    assert len(groups) == 3


def test_an_equal_stamp_need_not_be_the_same_object():
    assert len(grouped([reading("a", "t"), reading("a", "h", at=Stamp("boot-1", 1000))])) == 1


def test_events_stand_alone_and_keep_their_place():
    groups = grouped([reading("a", "t"), Event(HardwareId("a"), "press", AT), reading("a", "h")])
    assert [g.event for g in groups] == [None, "press", None]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("thp"), st.integers()), max_size=30)
)
def test_no_reading_is_lost_or_reordered(items):
    groups = grouped([reading(*item) for item in items])
    for name in "ab":
        sent = [(q, v) for d, q, v in items if d == name]
        got = [pair for g in groups if g.hardware_id == name for pair in g.payload.items()]
        assert got == sent


def test_a_body_is_compact_json_with_units_and_quality():
    device = Device(identity(), "l")
    (group,) = grouped([reading("x", "t", 21.5, unit="Cel", quality=Quality.UNCERTAIN)])
    assert device.body(group) == b'{"payload":{"t":21.5},"units":{"t":"Cel"},"quality":"uncertain"}'
    (group,) = grouped([reading("x", "zustand", "grün", unit="")])
    assert json.loads(device.body(group)) == {
        "payload": {"zustand": "grün"},
        "units": {"zustand": ""},
    }


def test_remembered_units_follow_the_units():
    device = Device(identity(), "l")
    for unit in ("V", "mV", "V"):
        (group,) = grouped([reading("x", "u", 1, unit=unit)])
        assert json.loads(device.body(group))["units"] == {"u": unit}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_carry_is_an_error(value):
    (group,) = grouped([reading("x", "t", value)])
    with pytest.raises(ValueError):
        Device(identity(), "l").body(group)


def test_devices_are_found_three_ways_until_removed():
    devices = Devices()
    device = devices.add(identity("a"))
    assert devices.add(identity("a")) is device
    devices.rename(device, Identity(HardwareId("a"), "uuid-a", "new", "d", "l", 0, None))
    assert devices.by_slug == {"new": device}
    assert devices.by_uuid["uuid-a"] is devices.by_hardware["a"] is device
    devices.remove(device)
    assert not len(devices)
    assert not devices.by_slug
