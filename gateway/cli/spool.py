"""`gateway spool`: what waits for the parent, and what it refused."""

import argparse
from typing import Any

from gateway.cli.control_client import ask
from gateway.cli.output import print_json, print_table, size, span
from gateway.cli.places import state_of

LABELS = {
    "depth_records": "records waiting",
    "depth_bytes": "size",
    "oldest_s": "oldest",
    "taken": "taken by the parent since start",
    "refused": "refused by the parent",
    "dead_letters": "dead letters kept",
    "written_bytes": "written to disk since start",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--dead", action="store_true", help="list refused records, newest first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "example: gateway spool --dead"


def run(args: argparse.Namespace) -> int:
    """Print the spool's depth or its dead letters."""
    answer = ask(state_of(args), "GET", "/spool/dead" if args.dead else "/spool")
    if args.json:
        print_json(answer)
    elif args.dead:
        _print_dead(answer)
    else:
        print_table(
            [(LABELS.get(name, name), _shown(name, value)) for name, value in answer.items()]
        )
    return 0


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("bytes"):
        return size(value)
    return span(value) if name.endswith("_s") else str(value)


def _print_dead(answer: Any) -> None:
    rows = answer.get("dead_letters", []) if isinstance(answer, dict) else answer
    if not rows:
        print("no dead letters")
    for row in rows:
        print("  ".join(f"{name}={value}" for name, value in row.items()))
