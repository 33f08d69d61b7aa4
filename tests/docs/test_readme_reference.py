"""The README's tables are the program's own."""

from pathlib import Path

from gateway.cli.main import COMMANDS
from scripts import _reference

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_generated_parts_are_up_to_date() -> None:
    text = README.read_text("utf-8")
    assert text == _reference.rendered(text), "run: .venv/bin/python -m scripts._reference"


def test_every_command_has_help() -> None:
    assert COMMANDS
    assert [name for name, summary in COMMANDS.items() if not summary] == []


def test_each_generated_part_has_its_place() -> None:
    text = README.read_text("utf-8")
    assert [name for name in _reference.parts() if f"<!-- {name}: begin -->\n" not in text] == []
