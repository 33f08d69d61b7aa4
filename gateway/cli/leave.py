"""`gateway leave`: stop syncing with the parent; devices here and there stay."""

import argparse

from gateway.cli.control_client import ask
from gateway.cli.output import print_json
from gateway.cli.places import state_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "example: gateway leave"


def run(args: argparse.Namespace) -> int:
    """Tell the node to leave."""
    answer = ask(state_of(args), "POST", "/leave", {})
    if args.json:
        print_json(answer)
    else:
        print("left the parent; `gateway join LINE` joins another")
    return 0
