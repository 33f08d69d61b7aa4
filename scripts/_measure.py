"""Run one measurement by name and show its numbers; behind `scripts/bench` and `scripts/soak`.

A measurement is a module of `scripts/_bench/` or `scripts/_soak/` with `run(*, quick: bool) -> dict[str, float]`.
"""

import argparse
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts._errors import ScriptError, exit_with

SCRIPTS = Path(__file__).resolve().parent
FOLDERS = {"_bench": "scripts/bench", "_soak": "scripts/soak"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the JSON asked for."""
    first, _ = _parser(add_help=False).parse_known_args(argv)
    names = names_in(SCRIPTS / first.folder)
    command = FOLDERS[first.folder]
    if first.name is None:
        _parser().parse_args(argv)
        for name, summary in names.items():
            print(f"{command} {name:<12} {summary}")
        return 0
    if first.name not in names:
        raise ScriptError(
            f"there is no measurement {first.name!r}",
            code="GW-1958",
            hint=f"{command} without a name lists them: {', '.join(names)}",
        )
    module: Any = importlib.import_module(f"scripts.{first.folder}.{first.name}")
    parser = _parser()
    getattr(module, "add_options", lambda _: None)(parser)
    options = vars(parser.parse_args(argv))
    written: Path | None = options.pop("json")
    del options["folder"], options["name"]
    started = time.monotonic()
    metrics: Mapping[str, float | str] = module.run(**options)
    print(getattr(module, "table", table)(metrics))
    print(f"{command} {first.name} took {time.monotonic() - started:.0f} s")
    if written:
        written.write_text(json.dumps(dict(metrics), indent=1) + "\n", "utf-8")
    return 0


def _parser(*, add_help: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, add_help=add_help, allow_abbrev=False
    )
    parser.add_argument("folder", choices=FOLDERS, help=argparse.SUPPRESS)
    parser.add_argument("name", nargs="?", help="which one; without it, the list")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a rough number soon")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write one flat object: metric -> number"
    )
    return parser


def names_in(folder: Path) -> dict[str, str]:
    """Each measurement's name with the first line of its docstring."""
    found = {}
    for path in sorted(folder.glob("[a-z]*.py")):
        first = path.read_text("utf-8").splitlines()[0]
        found[path.stem] = first.strip('"')
    return found


def table(metrics: Mapping[str, float | str]) -> str:
    """Metric and number in two columns, the numbers' units ending the names."""
    width = max((len(name) for name in metrics), default=0)
    return "\n".join(f"{name:<{width}}  {_shown(value):>14}" for name, value in metrics.items())


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.2f}"


if __name__ == "__main__":
    exit_with("scripts/bench", main)
