"""`gateway broker`: who is connected, what waits, what was refused, and who may log in."""

import argparse

from gateway.cli import broker_users
from gateway.cli.broker_arguments import add_action


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    broker_users.configure(
        add_action(actions, "user", "Add, change, remove and list local users.", None)
    )
    parser.epilog = "example: gateway broker user add anna --role home"


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    return int(args.act(args))
