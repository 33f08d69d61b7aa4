"""Ours are loaded, others only when allowed, and what fails is shown while the rest runs."""

import sys
from dataclasses import replace
from importlib.metadata import Distribution, EntryPoint, PathDistribution

import pytest

from gateway.bridge.discovery import discover, settings_of
from gateway.driver.contract import CONTRACT, Driver
from gateway.errors import ConfigError

SHIPPED = {"bthome", "line-fields", "line-json", "ruuvi", "simulated", "vedirect"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that makes an installed package with one driver module."""

    def make(distribution, name, source):
        module = f"plug_{distribution.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        )
        dist: Distribution = PathDistribution(info)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return EntryPoint(name, f"{module}:DRIVER", "gateway.drivers")._for(dist)

    return make


GOOD = "from drivers.simulated import DRIVER as _D\nfrom dataclasses import replace\nDRIVER = replace(_D, name='other'{})\n"


def test_the_shipped_drivers_are_found():
    found = discover().all()
    assert {each.name for each in found} == SHIPPED
    assert all(each.driver is not None for each in found)
    assert discover().get("vedirect").default_baud == 19_200


def test_a_third_party_driver_runs_once_it_is_allowed(package):
    entry = package("their-driver", "other", GOOD.format(""))
    with pytest.raises(ConfigError) as caught:
        discover((), [entry]).get("other")
    assert caught.value.code == "GW-1706"
    assert "plug_their_driver" not in sys.modules
    assert isinstance(discover(("other",), [entry]).get("other"), Driver)


@pytest.mark.parametrize(
    ("source", "code", "word"),
    [("import nothing_like_this", "GW-1703", "nothing_like_this"), ("1/0", "GW-1703", "ZeroDivisionError"),
     ("X = 1", "GW-1703", "AttributeError"), ("DRIVER = 5", "GW-1703", "int"),
     (GOOD.format(f", contract={CONTRACT + 1}"), "GW-1704", str(CONTRACT + 1))],
)  # fmt: skip
def test_a_broken_driver_is_listed_with_the_reason_and_the_rest_run(package, source, code, word):
    broken = package("their-driver", "other", source)
    fine = package("fine-driver", "fine", GOOD.format(""))
    drivers = discover(("other", "fine"), [broken, fine])
    assert drivers.get("fine")
    with pytest.raises(ConfigError) as caught:
        drivers.get("other")
    assert caught.value.code == code
    assert word in caught.value.text


def test_nobody_takes_the_name_of_a_shipped_driver(package):
    theirs = package("their-driver", "other", GOOD.format(""))
    ours = package("meshblu-gateway", "other", GOOD.format(", summary='ours'"))
    assert discover(("other",), [theirs, ours]).get("other").summary == "ours"


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError) as caught:
        discover().get("modbus")
    assert caught.value.code == "GW-1702"
    assert "vedirect" in caught.value.hint


def test_settings_that_do_not_fit_are_all_named():
    driver = discover().get("line-json")
    with pytest.raises(ConfigError) as caught:
        settings_of(driver, {"id_key": 5, "colour": "red"})
    assert "id_key" in caught.value.text
    assert "colour" in caught.value.text
    assert settings_of(replace(driver), {"id_key": "n"})
