"""`gateway join`: make another node the parent of this one, with the line that it printed."""

import argparse
import sys
from pathlib import Path

from gateway.cli.control_client import ask
from gateway.cli.output import print_json
from gateway.cli.places import state_of
from gateway.errors import GatewayError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "line",
        help="the line from `gateway mesh invite`; - reads it from standard input, @FILE from a "
        "file (so that its code does not stand in the process list)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "example: gateway join @invitation.txt"


def run(args: argparse.Namespace) -> int:
    """Hand the line to the node."""
    answer = ask(state_of(args), "POST", "/join", {"line": _line(args.line)})
    if args.json:
        print_json(answer)
    else:
        parent = answer.get("parent") if isinstance(answer, dict) else None
        print(f"joined{f' {parent}' if parent else ''}; `gateway status` shows the uplink")
    return 0


def _line(word: str) -> str:
    if word == "-":
        text = sys.stdin.read()
    elif word.startswith("@"):
        try:
            text = Path(word[1:]).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GatewayError(
                f"the invitation {word[1:]} cannot be read: {error}",
                code="GW-1823",
                hint="name the file into which `gateway mesh invite` was written",
            ) from error
    else:
        text = word
    # `gateway mesh invite` prints the line first and then a remark for people.
    first = next((row.strip() for row in text.splitlines() if row.strip()), "")
    if not first:
        raise GatewayError(
            "there is no invitation in what was given",
            code="GW-1823",
            hint="run `gateway mesh invite` on the parent and give its first line",
        )
    return first
