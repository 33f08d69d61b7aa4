"""Every code that can be raised is explained, and every explained code can be raised."""

import re
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[\"'](GW-\d{4})[\"']")
SCRIPTS = re.compile(r"GW-19\d\d")  # printed by scripts, before anything is installed


def raised() -> set[str]:
    """Return the codes that stand as literals in the sources."""
    found: set[str] = set()
    for folder in ("gateway", "drivers"):
        for path in (ROOT / folder).rglob("*.py"):
            found.update(CODE.findall(path.read_text("utf-8")))
    for path in (ROOT / "scripts").rglob("*"):
        if path.is_file() and path.suffix in ("", ".py", ".sh"):
            found.update(SCRIPTS.findall(path.read_text("utf-8", "replace")))
    return found


def rows() -> list[tuple[str, str, dict[str, str]]]:
    """Return (file, code, row) of every explanation."""
    return [
        (path.name, code, row)
        for path in sorted((ROOT / "gateway" / "codes").glob("*.toml"))
        for code, row in tomllib.loads(path.read_text("utf-8")).items()
    ]


def test_every_code_in_the_sources_is_explained() -> None:
    assert sorted(raised() - {code for _, code, _ in rows()}) == []


def test_every_explained_code_stands_in_the_sources() -> None:
    assert sorted({code for _, code, _ in rows()} - raised()) == []


def test_each_code_is_explained_once_in_the_file_of_its_area() -> None:
    assert [
        code for code, count in Counter(code for _, code, _ in rows()).items() if count > 1
    ] == []
    assert [code for file, code, _ in rows() if code[3:5] != file[:2]] == []


def test_every_explanation_has_a_title_a_meaning_and_a_fix() -> None:
    for _, code, row in rows():
        assert set(row) == {"title", "meaning", "fix"}, code
        assert all(text.strip() for text in row.values()), code
        assert not row["title"].endswith("."), code
