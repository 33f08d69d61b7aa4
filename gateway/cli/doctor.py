"""`gateway doctor`: seven checks of this machine, each fault with its fix; works without a running node."""

import argparse
import contextlib
from collections.abc import Mapping
from typing import Any

from gateway.cli.checks import CHECKS, Answer, Grade, Subject
from gateway.cli.config import load_config
from gateway.cli.control_client import ask
from gateway.cli.output import coloured, print_json
from gateway.cli.places import state_of
from gateway.errors import ConfigError, GatewayError

COLOURS = {Grade.GOOD: "green", Grade.NOTE: "yellow", Grade.BAD: "red"}
MARKS = {Grade.GOOD: "ok", Grade.NOTE: "note", Grade.BAD: "FAULT"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "example: gateway doctor"


def run(args: argparse.Namespace) -> int:
    """Ask every question; returns 1 when an answer is bad."""
    subject = _subject(args)
    answers = [(name, check(subject)) for name, check in CHECKS]
    if subject.status is not None:
        answers.append(("running node", _parked(subject.status)))
        answers.append(("bridges", _bridges(subject.status)))
    if args.json:
        print_json(
            [
                {"check": name, "grade": row.grade, "text": row.text, "fix": row.fix}
                for name, rows in answers
                for row in rows
            ]
        )
    else:
        for name, rows in answers:
            _print(name, rows)
    return int(any(row.grade is Grade.BAD for _, rows in answers for row in rows))


def _subject(args: argparse.Namespace) -> Subject:
    loaded, fault, fix = None, "", ""
    try:
        loaded = load_config(args)
    except ConfigError as error:
        fault, fix = f"{error.code} {error.text}", error.hint
    state = state_of(args)
    status: dict[str, Any] | None = None
    with contextlib.suppress(GatewayError):  # without a running node the checks do without
        status = ask(state, "GET", "/status")
    return Subject(loaded, fault, fix, state, status)


def _parked(status: Mapping[str, Any]) -> list[Answer]:
    rows = status.get("parked", [])
    if not rows:
        return [Answer(Grade.GOOD, "answers, and nothing in it is parked")]
    return [
        Answer(Grade.BAD, f"{row['what']}: {row['code']} {row['text']}", row["hint"])
        for row in rows
    ]


def _bridges(status: Mapping[str, Any]) -> list[Answer]:
    """Return how each bridge to another broker is; one that a person must mend is among the parked already."""
    rows = []
    for bridge in status.get("bridges", []):
        where = f"{bridge['name']} to {bridge['peer']}: {bridge['state']}"
        if bridge["state"] == "waiting":
            rows.append(Answer(Grade.NOTE, f"{where}: {bridge['reason']}", bridge["hint"]))
        elif bridge["state"] == "connected":
            rows.append(Answer(Grade.GOOD, where))
        rows += [
            Answer(
                Grade.NOTE,
                f"{where}, but may not read {pattern} there",
                "let its user read that filter at the other broker, or remove the rule",
            )
            for pattern in bridge.get("refused_filters", [])
        ]
    return rows


def _print(name: str, rows: list[Answer]) -> None:
    for row in rows:
        mark = coloured(MARKS[row.grade].ljust(5), COLOURS[row.grade])
        print(f"{mark}  {name.ljust(13)}  {row.text}")
        if row.fix:
            print(f"{'':22}-> {row.fix}")
