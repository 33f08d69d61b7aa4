"""Run one measurement by name and show its numbers; behind `scripts/bench` and `scripts/soak`.

A measurement is a module of `scripts/_bench/` or `scripts/_soak/` with `run(*, quick: bool) -> dict[str, float]`.
"""

import argparse
import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts._errors import ScriptError, exit_with

SCRIPTS = Path(__file__).resolve().parent
FOLDERS = {"_bench": "scripts/bench", "_soak": "scripts/soak"}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print a table, write the JSON asked for."""
    args = _parse(argv)
    names = names_in(SCRIPTS / args.folder)
    command = FOLDERS[args.folder]
    if args.name is None:
        for name, summary in names.items():
            print(f"{command} {name:<12} {summary}")
        return 0
    if args.name not in names:
        raise ScriptError(
            f"there is no measurement {args.name!r}",
            code="GW-1958",
            hint=f"{command} without a name lists them: {', '.join(names)}",
        )
    run: Callable[..., Mapping[str, float]] = importlib.import_module(
        f"scripts.{args.folder}.{args.name}"
    ).run
    started = time.monotonic()
    metrics = run(quick=args.quick)
    print(table(metrics))
    print(f"{command} {args.name} took {time.monotonic() - started:.0f} s")
    if args.json:
        args.json.write_text(json.dumps(dict(metrics), indent=1) + "\n", "utf-8")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("folder", choices=FOLDERS, help=argparse.SUPPRESS)
    parser.add_argument("name", nargs="?", help="which one; without it, the list")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a rough number soon")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write one flat object: metric -> number"
    )
    return parser.parse_args(argv)


def names_in(folder: Path) -> dict[str, str]:
    """Each measurement's name with the first line of its docstring."""
    found = {}
    for path in sorted(folder.glob("[a-z]*.py")):
        first = path.read_text("utf-8").splitlines()[0]
        found[path.stem] = first.strip('"')
    return found


def table(metrics: Mapping[str, float]) -> str:
    """Metric and number in two columns, the numbers' units ending the names."""
    width = max((len(name) for name in metrics), default=0)
    return "\n".join(f"{name:<{width}}  {value:>14,.2f}" for name, value in metrics.items())


if __name__ == "__main__":
    exit_with("scripts/bench", main)
