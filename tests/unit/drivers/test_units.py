"""Units are guessed from names only where nearly everybody means the same."""

import pytest

from drivers.units import unit_of


@pytest.mark.parametrize(
    ("name", "unit"),
    [("temperature", "Cel"), ("T", "Cel"), ("supply_mv", "mV"), ("boiler_temp", "Cel"), ("door", ""),
     ("c", ""), ("_c", ""), ("soil_moisture", "%"), ("bat", "")],
)  # fmt: skip
def test_a_unit_follows_from_the_name(name, unit):
    assert unit_of(name, {}) == unit


def test_a_configured_unit_wins():
    assert unit_of("temperature", {"temperature": "K"}) == "K"
