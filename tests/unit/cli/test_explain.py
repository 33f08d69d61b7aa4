"""`gateway explain`."""

import json

import pytest

from gateway.cli.explain import codes
from gateway.cli.main import main


@pytest.mark.parametrize("spelled", ["GW-1001", "gw-1001", "1001", "GW1001"])
def test_a_code_is_explained_however_it_is_spelled(
    spelled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", spelled]) == 0
    text = capsys.readouterr().out
    assert text.startswith("GW-1001  ")
    assert "What to do: " in text


def test_without_a_code_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == sorted(codes())


def test_an_unknown_code_suggests_its_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "GW-1099"]) == 1
    assert "did you mean GW-1014" in capsys.readouterr().err
    assert main(["explain", "nonsense"]) == 1


def test_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "1001", "--json"])
    assert set(json.loads(capsys.readouterr().out)["GW-1001"]) == {"title", "meaning", "fix"}
