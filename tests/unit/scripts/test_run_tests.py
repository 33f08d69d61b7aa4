"""`scripts/test`: every test belongs to a part, tools are known, the closing line counts."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from scripts import _run_tests, _tools
from scripts._parts import PARTS, files_of, tools_of

ROOT = Path(__file__).resolve().parents[3]


def test_every_test_module_belongs_to_one_part() -> None:
    counted = Counter(path for part in PARTS.values() for path in files_of(part, ROOT))
    modules = {p for p in (ROOT / "tests").rglob("test_*.py") if "node_modules" not in p.parts}
    assert modules == set(counted)
    assert [str(path) for path, times in counted.items() if times > 1] == []


def test_every_tool_a_test_needs_can_be_installed() -> None:
    asked = tools_of(path for part in PARTS.values() for path in files_of(part, ROOT))
    assert {tool for tool in asked if not tool.startswith(_tools.NPM)} <= _tools.TOOLS.keys()


def test_tools_are_read_from_the_marks(tmp_path: Path) -> None:
    module = tmp_path / "test_x.py"
    module.write_text('@pytest.mark.needs("node", "npm:meshblu-http")\ndef test_x(): ...\n')
    assert tools_of([module]) == {"node", "npm:meshblu-http"}


def test_a_tool_of_the_system_folders_is_found_without_them_in_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # fmt: skip
    tool = tmp_path / "mosquitto"
    tool.touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(_tools, "SYSTEM_FOLDERS", str(tmp_path))
    assert _tools.find("mosquitto", tmp_path) == str(tool)


def test_errors_outside_a_tests_body_count_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>'
    )
    assert str(_run_tests.read_report(report)) == "4 passed, 3 failed, 3 skipped"


def test_a_run_that_left_no_report_counts_as_failed(tmp_path: Path) -> None:
    assert _run_tests.read_report(tmp_path / "missing.xml").failed == 1


def test_an_unknown_part_is_refused_with_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _run_tests.main(["--only", "nonsense"])
    assert "install" in capsys.readouterr().err


@pytest.mark.slow
def test_quick_needs_neither_tools_nor_patience() -> None:
    """The real command, asked only which tests it would run."""
    words = ["scripts/test", "--quick", "--", "--collect-only"]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    said = done.stdout
    assert "test_quick_needs_neither" not in said, "it is marked slow"
    assert "test_an_unknown_part_is_refused_with_the_names" in said
