"""What a person must mend is parked; what is a bug is not hidden."""

import pytest

from gateway.app.parking import parking
from gateway.config.problems import Parked
from gateway.errors import ConfigError


def test_a_wrong_part_is_parked_with_its_code_and_hint():
    parked: list[Parked] = []
    with parking("serial charger", parked.append):
        raise ConfigError("no such driver", code="GW-1702", hint="look at the list")
    assert parked == [Parked("serial charger", "GW-1702", "no such driver", "look at the list")]


def test_a_bug_is_not_parked():
    parked: list[Parked] = []
    with pytest.raises(ZeroDivisionError), parking("serial charger", parked.append):
        raise ZeroDivisionError
    assert parked == []
