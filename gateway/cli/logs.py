"""`gateway logs`: the node's last lines, live lines, and levels at run time."""

import argparse
import json

from gateway.cli.control_client import ask, stream
from gateway.cli.output import print_json
from gateway.cli.places import state_of
from gateway.errors import GatewayError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing new lines")
    parser.add_argument("-n", "--tail", type=int, default=50, help="how many last lines (50)")
    parser.add_argument(
        "--level",
        metavar="COMPONENT=LEVEL",
        action="append",
        default=[],
        help="first set a level: debug, info, warning, error; `all=...` for everything",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (without --follow)")
    parser.epilog = "example: gateway logs -f --level uplink=debug"


def run(args: argparse.Namespace) -> int:
    """Set levels, print the tail, and follow if asked."""
    state = state_of(args)
    for word in args.level:
        component, _, level = word.partition("=")
        if not level:
            raise GatewayError(
                f"--level {word} names no level",
                code="GW-1822",
                hint="write COMPONENT=LEVEL, for instance uplink=debug",
            )
        ask(state, "POST", "/logs/level", {"component": component, "level": level})
    if args.level and not args.follow:
        return 0
    lines = ask(state, "GET", f"/logs?tail={max(0, args.tail)}")
    if args.json:
        print_json(lines)
        return 0
    for line in lines:
        print(line)
    if args.follow:
        for _, data in stream(state, "/logs/stream"):
            print(_line(data), flush=True)
    return 0


def _line(data: str) -> str:
    """Return the line of a stream's event, which may be a JSON text."""
    try:
        parsed = json.loads(data)
    except ValueError:
        return data
    return parsed if isinstance(parsed, str) else data
