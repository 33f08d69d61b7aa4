"""`gateway mesh`: bring children and devices into this node's mesh."""

import argparse
import time
from typing import Any

from gateway.cli.control_client import ask
from gateway.cli.output import print_json, print_table, span
from gateway.cli.places import state_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _action(actions, "invite", "Print a line that another node can join with, once.").add_argument(
        "--owner", metavar="UUID", help="who shall own the child's devices"
    )
    _action(actions, "pair", "Let anyone register devices for a while.").add_argument(
        "--minutes", type=int, default=10, help="for how long (10)"
    )
    _action(actions, "code", "Print a one-time code with which one device may register.")
    _action(actions, "children", "List the nodes below this one.")
    _action(actions, "cut", "Cut the line to the parent: the spool fills.")
    _action(actions, "mend", "Mend the line to the parent: the spool drains.")
    parser.epilog = "example: gateway mesh invite"


def _action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary)
    # SUPPRESS: a default here would overwrite what was given before the action.
    action.add_argument("--state", metavar="DIR", default=argparse.SUPPRESS, help="state directory")
    action.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="configuration")
    action.add_argument("--json", action="store_true", help="print JSON")
    action.epilog = f"example: gateway mesh {name}"
    return action


def run(args: argparse.Namespace) -> int:
    """Ask the node, print its answer."""
    answer = _ask(args)
    if args.json:
        print_json(answer)
        return 0
    match args.action:
        case "invite":
            print(answer["line"])
            left_s = answer["expires_ms"] / 1000 - time.time()
            print(f"valid once, for {span(left_s)}; on the other node: gateway join LINE")
        case "pair":
            print(f"anyone may register for {args.minutes} minutes")
        case "code":
            print(answer["code"])
        case "children":
            _print_children(answer)
        case "cut":
            print("the line to the parent is cut; `gateway mesh mend` mends it")
        case _:
            print("the line to the parent is mended")
    return 0


def _ask(args: argparse.Namespace) -> Any:
    state = state_of(args)
    match args.action:
        case "invite":
            return ask(state, "POST", "/mesh/invite", {"owner": args.owner} if args.owner else {})
        case "pair":
            return ask(state, "POST", "/mesh/pair", {"minutes": args.minutes})
        case "code":
            return ask(state, "POST", "/mesh/code", {})
        case "children":
            return ask(state, "GET", "/mesh/children")
        case _:
            return ask(state, "POST", "/line", {"cut": args.action == "cut"})


def _print_children(answer: Any) -> None:
    children = answer.get("children", []) if isinstance(answer, dict) else answer
    if not children:
        print("no children; `gateway mesh invite` invites one")
    print_table(
        [
            (
                child["node"],
                "online" if child.get("online") else "offline",
                f"owner {child.get('owner') or '-'}",
                f"refused {child.get('refused', 0)}",
            )
            for child in children
        ]
    )
