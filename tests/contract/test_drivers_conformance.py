"""Every shipped driver keeps every promise of the contract."""

from importlib.metadata import entry_points

import pytest

from gateway.driver import conformance
from gateway.driver.captures import parsed
from gateway.driver.contract import CONTRACT, Driver
from tests.captures.loading import captures

DRIVERS = {
    entry.name: entry.load()
    for entry in entry_points(group="gateway.drivers")
    if entry.dist is not None and entry.dist.name == "meshblu-gateway"
}


def subjects(driver: Driver) -> list[conformance.Subject]:
    found: dict[str, list[object]] = {}
    settings = {}
    records = captures(driver.name)
    if driver.name == "simulated":
        records = [parsed({"id": "tick", "driver": "simulated", "hex": "7469636b0a"})]
    for record in records:
        key = repr(record.settings)
        found.setdefault(key, []).append(record.item)
        settings[key] = record.settings
    return [
        conformance.Subject(driver, (*items, *items), settings[key]) for key, items in found.items()
    ]


def cases():
    for name, driver in DRIVERS.items():
        for number, subject in enumerate(subjects(driver)):
            for check in conformance.CHECKS:
                yield pytest.param(check, subject, id=f"{name}-{number}-{check.__name__}")


@pytest.mark.parametrize(("check", "subject"), list(cases()))
def test_a_driver_keeps_its_promise(check, subject):
    check(subject)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_says_what_it_is(name):
    driver = DRIVERS[name]
    assert driver.name == name
    assert driver.contract == CONTRACT
    assert driver.summary
    assert driver.replay_period_ms > 0


@pytest.mark.parametrize("name", DRIVERS)
def test_every_key_of_a_driver_is_described(name):
    for key, field in DRIVERS[name].settings.model_fields.items():
        assert field.description, key


def test_documented_periods_are_kept():
    assert {name: driver.replay_period_ms for name, driver in DRIVERS.items()} == {
        "line-json": 2000,
        "line-fields": 2000,
        "vedirect": 1000,
        "bthome": 10_000,
        "ruuvi": 1300,
        "simulated": 2000,
    }
