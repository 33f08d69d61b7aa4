"""The configuration at start: third-party drivers that it allows, and the last good copy of a broken file."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app.startup import keep_copy, load_configuration
from gateway.errors import ConfigError

LINK = "[[serial]]\nname = 'theirs'\nport = '/dev/null'\ndriver = 'their-lines'\n"
ALLOWED = f"[drivers]\nallow = ['their-lines']\n{LINK}"
MODULE = "their_lines"


@pytest.fixture(autouse=True)
def their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package of somebody else with one serial driver."""
    site = tmp_path / "site"
    info = site / "their_lines-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-lines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[gateway.drivers]\ntheir-lines = {MODULE}:DRIVER\n")
    (site / f"{MODULE}.py").write_text(
        "from dataclasses import replace\n"
        "from drivers.serial.line_json import DRIVER as OURS\n"
        "DRIVER = replace(OURS, name='their-lines')\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield
    sys.modules.pop(MODULE, None)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_driver_that_the_file_allows_may_be_used_by_its_links(tmp_path: Path) -> None:
    loaded = load_configuration(written(tmp_path / "g.toml", ALLOWED), tmp_path)
    assert loaded.parked == ()
    assert [link.driver for link in loaded.settings.serial] == ["their-lines"]
    assert "serial.theirs" in loaded.driver_settings


def test_one_that_it_does_not_allow_parks_the_link_and_is_not_even_imported(tmp_path: Path) -> None:
    loaded = load_configuration(written(tmp_path / "g.toml", LINK), tmp_path)
    assert [row.code for row in loaded.parked] == ["GW-1706"]
    assert MODULE not in sys.modules


def test_a_file_that_was_just_broken_is_replaced_by_its_last_good_copy(tmp_path: Path) -> None:
    path = written(tmp_path / "g.toml", ALLOWED)
    keep_copy(load_configuration(path, tmp_path), tmp_path)
    path.write_text("[drivers\n")
    loaded = load_configuration(path, tmp_path)
    assert [row.code for row in loaded.parked] == ["GW-1001"]
    assert "running on" in loaded.parked[0].text
    assert "serial.theirs" in loaded.driver_settings  # the copy's own list of allowed drivers holds


def test_a_broken_file_without_a_copy_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_configuration(written(tmp_path / "g.toml", "[drivers\n"), tmp_path)
    assert caught.value.code == "GW-1001"


def test_a_configuration_with_a_fault_is_not_kept_as_good(tmp_path: Path) -> None:
    keep_copy(load_configuration(written(tmp_path / "g.toml", LINK), tmp_path), tmp_path)
    assert not (tmp_path / "config").exists()
