"""`scripts/bench` and `scripts/soak`: names, table, flat JSON."""

import json
from pathlib import Path

import pytest

from scripts import _measure
from scripts._errors import ScriptError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "_bench").mkdir()
    (tmp_path / "_bench" / "nothing.py").write_text('"""What nothing costs."""\n')
    monkeypatch.setattr(_measure, "SCRIPTS", tmp_path)
    return tmp_path


def test_without_a_name_it_lists_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _measure.main(["_bench"]) == 0
    assert capsys.readouterr().out.split() == [
        "scripts/bench",
        "nothing",
        "What",
        "nothing",
        "costs.",
    ]


def test_an_unknown_name_is_an_error_with_the_names(folder: Path) -> None:
    with pytest.raises(ScriptError, match="GW-1958") as caught:
        _measure.main(["_bench", "nonsense"])
    assert "nothing" in caught.value.hint


def test_the_numbers_are_a_table_and_one_flat_object(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    class Measurement:
        @staticmethod
        def run(*, quick: bool) -> dict[str, float]:
            return {"cost_s": 0.5, "is_quick": float(quick)}

    monkeypatch.setattr(_measure.importlib, "import_module", lambda name: Measurement)
    written = folder / "out.json"
    assert _measure.main(["_bench", "nothing", "--quick", "--json", str(written)]) == 0
    assert json.loads(written.read_text()) == {"cost_s": 0.5, "is_quick": 1.0}
    assert [line.split() for line in capsys.readouterr().out.splitlines()[:2]] == [["cost_s", "0.50"], ["is_quick", "1.00"]]  # fmt: skip


def test_a_measurement_may_have_options_and_a_table_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    class Measurement:
        @staticmethod
        def add_options(parser):
            parser.add_argument("--only")

        @staticmethod
        def run(*, quick: bool, only: str | None) -> dict[str, float | str]:
            return {"only": only or "everything"}

        @staticmethod
        def table(metrics) -> str:
            return f"measured {metrics['only']}"

    monkeypatch.setattr(_measure.importlib, "import_module", lambda name: Measurement)
    assert _measure.main(["_bench", "nothing", "--only", "this"]) == 0
    assert capsys.readouterr().out.startswith("measured this\n")


def test_a_figure_may_be_the_word_why_there_is_none() -> None:
    assert _measure.table({"cost_s": "void"}).split() == ["cost_s", "void"]


@pytest.mark.parametrize("kind", ["_bench", "_soak"])
def test_every_measurement_says_what_it_measures(kind: str) -> None:
    names = _measure.names_in(_measure.SCRIPTS / kind)
    assert names
    assert all(summary for summary in names.values())
