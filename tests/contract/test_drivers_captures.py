"""Every record decodes to what somebody else's decoder, or a datasheet, says it means."""

import importlib.resources
import json
from importlib.metadata import entry_points

import pytest

from gateway.driver.captures import Capture, meaning, parsed
from gateway.driver.contract import Driver
from gateway.model import Stamp
from tests.captures.loading import SHIPPED, captures

AT = Stamp("boot-1", 5_000)
ORIGIN = "serial:usb-Sensor_1"
CAPTURES = captures()


def driver(name: str) -> Driver:
    (entry,) = (e for e in entry_points(group="gateway.drivers") if e.name == name)
    loaded = entry.load()
    assert isinstance(loaded, Driver)
    return loaded


def decoded(capture: Capture) -> tuple[dict[str, tuple[object, str]], list[str]]:
    row = driver(capture.driver)
    codec = row.open(row.settings.model_validate(dict(capture.settings)), ORIGIN)
    readings, events = meaning(codec.feed(capture.item, AT), ORIGIN)
    return dict(readings), events


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.id)
def test_a_record_means_what_it_is_known_to_mean(capture):
    readings, events = decoded(capture)
    assert readings == dict(capture.readings)
    assert sorted(events) == sorted(capture.events)


def test_every_driver_with_a_wire_has_records():
    assert {capture.driver for capture in CAPTURES} == {
        "line-json", "line-fields", "vedirect", "bthome", "ruuvi",
    }  # fmt: skip


def test_the_shipped_captures_mean_what_they_say_too():
    records = [r for path in SHIPPED.glob("*.json") for r in json.loads(path.read_text("utf-8"))]
    assert len(records) >= 6
    for capture in map(parsed, records):
        readings, _ = decoded(capture)
        assert readings
        if capture.driver != "simulated":
            assert readings == dict(capture.readings), capture.id


def test_the_shipped_captures_are_package_data():
    package = importlib.resources.files("drivers") / "captures"
    assert {path.name for path in package.iterdir()} >= {"serial.json", "ble.json"}
