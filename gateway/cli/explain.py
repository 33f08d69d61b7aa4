"""`gateway explain GW-1203`: what an error code means and how it is mended."""

import argparse
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path

from gateway.cli.output import print_json, print_table
from gateway.errors import GatewayError

CODES = Path(__file__).parent.parent / "codes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("code", nargs="?", help="a code; without one, all are listed")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "example: gateway explain GW-1001"


def run(args: argparse.Namespace) -> int:
    """Explain one code, or list all."""
    table = codes()
    if args.code is None:
        if args.json:
            print_json(table)
        else:
            print_table([(code, row["title"]) for code, row in sorted(table.items())])
        return 0
    code = _spelled(args.code)
    if code not in table:
        near = _near(code, table)
        raise GatewayError(
            f"there is no code {code}",
            code="GW-1820",
            hint=f"did you mean {', '.join(near)}?"
            if near
            else "`gateway explain` lists all codes",
        )
    row = table[code]
    if args.json:
        print_json({code: row})
    else:
        print(f"{code}  {row['title']}\n\n{row['meaning']}\n\nWhat to do: {row['fix']}")
    return 0


def codes(folder: Path = CODES) -> Mapping[str, dict[str, str]]:
    """Return code -> title, meaning, fix, from every file of the folder."""
    table: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.toml")):
        table.update(tomllib.loads(path.read_text("utf-8")))
    return table


def _near(code: str, table: Mapping[str, object]) -> list[str]:
    """Return the three closest codes: of the same area by number, else by spelling."""
    digits = code.removeprefix("GW-")
    area = [known for known in table if known[:5] == code[:5]]
    if digits.isdecimal() and area:
        return sorted(area, key=lambda known: abs(int(known[3:]) - int(digits)))[:3]
    return difflib.get_close_matches(code, table, n=3, cutoff=0.5)


def _spelled(text: str) -> str:
    """Accept `1203`, `gw1203` and `GW-1203`."""
    digits = text.upper().removeprefix("GW").removeprefix("-")
    return f"GW-{digits}"
