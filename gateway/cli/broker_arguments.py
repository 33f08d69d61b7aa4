"""What the actions of `gateway broker` have in common: their options, and how they print times."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from gateway.cli.output import span
from gateway.errors import ConfigError

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


MOST_S = 86_400.0  # as the node says: whoever shall stay away longer is removed
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Return the seconds of `30s`, `5m` or `2h`, at most a day; raises what argparse explains."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 30s, 5m or 2h")
    try:
        found = float(number) * UNITS_S[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 30s, 5m or 2h") from None
    if not 0 <= found <= MOST_S:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 30s, 5m or 2h, at most 24h")
    return found


def confirmed(question: str) -> bool:
    """Ask on the terminal; without one, raise ConfigError GW-1820 that names the option."""
    if not sys.stdin.isatty():
        raise ConfigError(
            f"there is no terminal to ask: {question}",
            code="GW-1824",
            hint="add --yes to do it without asking",
        )
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
