"""Where configuration and state are looked for."""

import argparse
from pathlib import Path

import pytest

from gateway.cli import places


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr(places, "SYSTEM_CONFIG", tmp_path / "etc" / "gateway.toml")


def given(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    places.add_arguments(parser)
    return parser.parse_args(words)


def test_the_nearest_configuration_wins(tmp_path: Path) -> None:
    assert places.config_of(given()) is None
    places.SYSTEM_CONFIG.parent.mkdir()
    places.SYSTEM_CONFIG.touch()
    assert places.config_of(given()) == places.SYSTEM_CONFIG
    Path("gateway.toml").touch()
    assert places.config_of(given()) == Path("gateway.toml")
    assert places.config_of(given("--config", "x")) == Path("x")


def test_the_state_directory_is_the_systems_unless_something_nearer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert places.state_of(given()) == Path("/var/lib/gateway")
    Path("gateway/cli").mkdir(parents=True)
    Path("gateway/cli/places.py").touch()
    Path("pyproject.toml").touch()
    assert places.state_of(given()) == Path(".run/node")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    assert places.state_of(given()) == Path("/var/lib/a")
    Path("gateway.toml").write_text('[node]\nstate_dir = "/srv/gateway"\n')
    assert places.state_of(given()) == Path("/srv/gateway")
    assert places.state_of(given("--state", "y")) == Path("y")


def test_a_demo_stays_away_from_the_state_of_a_node_in_earnest() -> None:
    Path("gateway.toml").write_text('[node]\nstate_dir = "/srv/gateway"\n')
    assert places.demo_state_of(given()) == Path(".run/demo")
    assert places.demo_state_of(given("--state", "y")) == Path("y")


@pytest.mark.parametrize("text", ["state_dir = [", "node = 'state_dir'", "[node]\nstate_dir = 7"])
def test_a_broken_file_is_left_to_the_command_that_needs_it(text: str) -> None:
    Path("gateway.toml").write_text(text)
    assert places.state_of(given()) == Path("/var/lib/gateway")
