"""The parts of the test suite: which files each has, which tools they start, how many run at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

NEEDS = re.compile(r"needs\(([^)]*)\)")
WORD = re.compile(r"""["']([^"']+)["']""")


@dataclass(frozen=True, slots=True)
class Part:
    """A row of the table below; `but` are globs that belong to another part."""

    paths: tuple[str, ...]
    but: tuple[str, ...] = ()
    workers: int = 0
    marks: str = ""
    limit_s: int = 120
    """The longest one test may take."""


WEB = ("tests/web/**/test_*.py", "tests/e2e/test_page*.py", "tests/e2e/test_web*.py")
INSTALL = ("tests/e2e/test_install*.py",)

PARTS = {
    "unit": Part(("tests/unit/**/test_*.py", "tests/contract/**/test_*.py"), workers=2),
    "conformance": Part(("tests/conformance/**/test_*.py",), workers=2),
    "fuzz": Part(("tests/fuzz/**/test_*.py",), workers=2),
    "fault": Part(("tests/fault/**/test_*.py",), workers=2),
    "clients": Part(("tests/clients/**/test_*.py",)),
    "docs": Part(("tests/docs/**/test_*.py",), workers=2),
    "web": Part(WEB),
    "e2e": Part(("tests/e2e/**/test_*.py",), but=WEB + INSTALL, limit_s=300),
    "install": Part(INSTALL, limit_s=600),
}
"""In this order: what fails soonest, first."""

QUICK = Part(PARTS["unit"].paths, workers=2, marks="not slow and not needs", limit_s=30)
"""The tests that need nothing but Python; `scripts/test --quick`."""


def files_of(part: Part, root: Path) -> list[Path]:
    """List the test modules of a part."""
    left_out = set(_expand(part.but, root))
    return sorted(path for path in set(_expand(part.paths, root)) if path not in left_out)


def tools_of(files: Iterable[Path]) -> set[str]:
    """Collect the words of every `needs(...)` mark in these modules."""
    return {
        word
        for path in files
        for mark in NEEDS.findall(path.read_text("utf-8"))
        for word in WORD.findall(mark)
    }


def _expand(globs: Iterable[str], root: Path) -> Iterable[Path]:
    return (path for glob in globs for path in root.glob(glob) if "node_modules" not in path.parts)
