"""`gateway broker user`: local users of a node, whether it runs or not.

The password is asked on the terminal or read from standard input, never an argument; only its hash leaves this
process.
"""

import argparse
import getpass
import sys
import time
from typing import Any

from gateway.cli.broker_arguments import add_action, span_ago
from gateway.cli.control_client import NoNodeError, ask
from gateway.cli.output import print_json, print_table
from gateway.cli.places import config_of, state_of
from gateway.errors import ConfigError

MOST_PASSWORD_BYTES = 1024

ROUTES = {
    "broker-users": ("GET", "/broker/users"),
    "broker-user-add": ("POST", "/broker/users"),
    "broker-user-roles": ("POST", "/broker/users/roles"),
    "broker-user-password": ("POST", "/broker/users/password"),
    "broker-user-remove": ("POST", "/broker/users/remove"),
}
"""operation -> how a running node is asked for it"""


ACTIONS = {
    "add": "Add a user; the password is asked for.",
    "role": "Replace a user's roles; its sessions end.",
    "password": "Change a password; its sessions end.",
    "remove": "Remove a user; its sessions end.",
    "list": "List users, those of gateway.toml too.",
}
"""action -> what it does, for help and README."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="user_action", metavar="ACTION", required=True)
    add = add_action(actions, "add", ACTIONS["add"], _add)
    add.add_argument("name", metavar="NAME", help="login name; not shaped like a uuid")
    add.add_argument(
        "--role", metavar="ROLE", action="append", default=[], help="a role; may be repeated"
    )
    add.epilog = "example: gateway broker user add anna --role home --role monitor"
    role = add_action(actions, "role", ACTIONS["role"], _role)
    role.add_argument("name", metavar="NAME", help="login name")
    role.add_argument(
        "--set", metavar="ROLES", required=True, dest="roles", help="roles, with commas; '' is none"
    )
    role.epilog = "example: gateway broker user role anna --set home,zigbee2mqtt"
    remove = add_action(actions, "remove", ACTIONS["remove"], _remove)
    remove.add_argument("name", metavar="NAME", help="login name")
    remove.epilog = "example: gateway broker user remove anna"
    password = add_action(actions, "password", ACTIONS["password"], _password)
    password.add_argument("name", metavar="NAME", help="login name")
    password.epilog = "example: gateway broker user password anna --password-stdin < new-password"
    for action in (add, password):
        action.add_argument(
            "--password-stdin", action="store_true", help="read the password: one line of stdin"
        )
    listing = add_action(actions, "list", ACTIONS["list"], _list)
    listing.epilog = "example: gateway broker user list"
    parser.epilog = "example: gateway broker user add anna --role home"


def _add(args: argparse.Namespace) -> int:
    asked = {"name": args.name, "roles": args.role, "hash": _hash(args)}
    answer = _perform(args, "broker-user-add", asked)
    return _say(args, answer, f"{args.name} may log in ({_roles(answer)})")


def _role(args: argparse.Namespace) -> int:
    roles = [role.strip() for role in args.roles.split(",") if role.strip()]
    answer = _perform(args, "broker-user-roles", {"name": args.name, "roles": roles})
    return _say(args, answer, f"{args.name} has {_roles(answer)}")


def _remove(args: argparse.Namespace) -> int:
    answer = _perform(args, "broker-user-remove", {"name": args.name})
    return _say(args, answer, f"{args.name} is removed")


def _password(args: argparse.Namespace) -> int:
    asked = {"name": args.name, "hash": _hash(args)}
    answer = _perform(args, "broker-user-password", asked)
    return _say(args, answer, f"{args.name} has a new password")


def _list(args: argparse.Namespace) -> int:
    users = _perform(args, "broker-users", {})
    if args.json:
        print_json(users)
    elif not users:
        print("no users yet; `gateway broker user add NAME --role home` adds one")
    else:
        now_s = time.time()
        rows = [("NAME", "ROLES", "ADDED", "FROM")]
        for user in users:
            source = user["from"] + (" (the one of gateway.toml holds)" if user["hidden"] else "")
            roles = " ".join(user["roles"]) or "-"
            rows.append((user["name"], roles, span_ago(user["created_ms"], now_s), source))
        print_table(rows)
    return 0


def _say(args: argparse.Namespace, answer: dict[str, Any], said: str) -> int:
    if args.json:
        print_json(answer)
        return 0
    ended = answer.get("ended_sessions", 0)
    print(said + (f"; {ended} session{'s' if ended > 1 else ''} ended" if ended else ""))
    if answer.get("note"):
        print(f"note: {answer['note']}")
    return 0


def _roles(answer: dict[str, Any]) -> str:
    roles = answer.get("roles") or []
    if not roles:
        return "no roles: nothing is open to it"
    return f"role{'s' if len(roles) > 1 else ''} {', '.join(roles)}"


def _perform(args: argparse.Namespace, operation: str, asked: dict[str, Any]) -> Any:
    """Ask the running node; where none runs, work on its state directory."""
    state = state_of(args)
    method, path = ROUTES[operation]
    try:
        return ask(state, method, path, asked or None)
    except NoNodeError:
        import asyncio  # noqa: PLC0415 - the database, only where no node answers

        from gateway.app.accounts_alone import perform_alone  # noqa: PLC0415
        from gateway.config.load import load  # noqa: PLC0415

        settings = load(config_of(args)).settings.mqtt
        return asyncio.run(perform_alone(state, settings, operation, asked))


def _hash(args: argparse.Namespace) -> str:
    from gateway.app.logins import hash_line  # noqa: PLC0415 - asyncio, only here

    return hash_line(_from_stdin() if args.password_stdin else _from_terminal(args.name))


def _from_stdin() -> str:
    raw = sys.stdin.buffer.readline(MOST_PASSWORD_BYTES + 2)
    try:
        return _checked(raw.decode().rstrip("\r\n"))
    except UnicodeDecodeError:
        raise _unusable("standard input holds no text (UTF-8)") from None


def _from_terminal(name: str) -> str:
    if not sys.stdin.isatty():
        raise _unusable("there is no terminal to ask for the password")
    first = _checked(getpass.getpass(f"password for {name}: "))
    if getpass.getpass("once more: ") != first:
        raise _unusable("the two passwords are not the same")
    return first


def _checked(password: str) -> str:
    if not password:
        raise _unusable("the password is empty")
    if len(password.encode()) > MOST_PASSWORD_BYTES:
        raise _unusable(f"the password is longer than {MOST_PASSWORD_BYTES} bytes")
    return password


def _unusable(what: str) -> ConfigError:
    return ConfigError(
        what,
        code="GW-1134",
        hint="try again, or give one line on standard input with --password-stdin",
    )
