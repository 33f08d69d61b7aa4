"""What the actions of `gateway broker` have in common: their options, and how they print times."""

import argparse
from collections.abc import Callable
from typing import Any

from gateway.cli.output import span

Act = Callable[[argparse.Namespace], int]


def add_action(actions: Any, name: str, summary: str, act: Act | None) -> argparse.ArgumentParser:
    """Add an action that `act` carries out; one with actions below it has none."""
    action: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary)
    if act is None:
        return action
    # SUPPRESS: a default here would overwrite what was given before the action.
    action.add_argument("--state", metavar="DIR", default=argparse.SUPPRESS, help="state directory")
    action.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="configuration")
    action.add_argument("--json", action="store_true", help="print JSON")
    action.set_defaults(act=act)
    return action


def span_ago(at_ms: int | None, now_s: float) -> str:
    """Return how long ago a moment (epoch) was: `2 d 3 h ago`."""
    return "-" if at_ms is None else f"{span(now_s - at_ms / 1000)} ago"
