"""`gateway config`: check the file, show what holds, print the reference, hash a password."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from gateway.cli.output import coloured, print_json
from gateway.cli.places import config_of
from gateway.config.load import Loaded, load
from gateway.config.reference import defaults_toml, markdown, toml_key, toml_value
from gateway.errors import ConfigError

EXIT_CONFIG = 78


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument(
        "action",
        choices=["check", "show", "reference", "defaults", "password"],
        help="check the file; show what holds; print every key as Markdown, or as a file; "
        "hash the password on standard input",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (check, show)")
    parser.epilog = (
        "examples: gateway config check --config gateway.toml\n"
        "          gateway config password < new-password > /etc/gateway/anna.password"
    )


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    match args.action:
        case "reference":
            print(markdown(), end="")
        case "defaults":
            print(defaults_toml(), end="")
        case "password":
            return _password()
        case "show":
            _show(load_config(args), as_json=args.json)
        case _:
            return _check(load_config(args), as_json=args.json)
    return 0


def load_config(args: argparse.Namespace) -> Loaded:
    """Load the configuration of a command; raises ConfigError."""
    from gateway.bridge.discovery import discover  # noqa: PLC0415 - loads every driver

    path = config_of(args)
    # Twice: which drivers may be loaded to judge their tables stands in the file itself.
    drivers = discover(load(path).settings.drivers.allow)

    def check(name: str, table: Mapping[str, Any]) -> BaseModel:
        return drivers.get(name).settings.model_validate(dict(table))

    return load(path, check=check)


def _check(loaded: Loaded, *, as_json: bool) -> int:
    name = str(loaded.path) if loaded.path else "no file: the built-in defaults"
    if as_json:
        rows = [
            {
                "what": row.what,
                "code": row.code,
                "line": row.line,
                "text": row.text,
                "hint": row.hint,
            }
            for row in loaded.parked
        ]
        print_json({"file": str(loaded.path) if loaded.path else None, "faults": rows})
    elif loaded.parked:
        for row in loaded.parked:
            print(f"{coloured(row.code, 'red')} {row.text}\n  what to do: {row.hint}")
        print(f"{name}: {len(loaded.parked)} left out, the rest is right")
    else:
        print(f"{name}: {coloured('right', 'green')}")
    return EXIT_CONFIG if loaded.parked else 0


def _show(loaded: Loaded, *, as_json: bool) -> None:
    """Print what holds. Secrets are not in it: the settings know only the names of their files."""
    values = loaded.settings.model_dump(mode="json")
    if as_json:
        print_json(values)
    else:
        print("\n".join(_toml_lines(values, "")).strip())


def _toml_lines(table: dict[str, Any], name: str) -> list[str]:
    lines = _pairs(table)
    if name and lines:
        lines = ["", f"[{name}]", *lines]
    for key, value in table.items():
        below = f"{name}.{toml_key(key)}" if name else toml_key(key)
        if isinstance(value, dict) and _is_table(value):
            lines += _toml_lines(value, below)
        elif _is_table(value):
            for item in value:
                lines += ["", f"[[{below}]]", *_pairs(item, inline=True)]
    return lines


def _pairs(table: dict[str, Any], *, inline: bool = False) -> list[str]:
    """Return the lines of a table's own keys; below an item of a list, tables stand inline."""
    return [
        f"{toml_key(key)} = {toml_value(value)}"
        for key, value in table.items()
        if value is not None and (inline or not _is_table(value))
    ]


def _is_table(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    return isinstance(value, dict) and bool(value)


def _password() -> int:
    from gateway.app.logins import hash_line  # noqa: PLC0415 - asyncio, only here

    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise ConfigError(
            "standard input holds no password",
            code="GW-1821",
            hint='for instance: read -rs PW; echo "$PW" | gateway config password > anna.password',
        )
    print(hash_line(password))
    return 0
