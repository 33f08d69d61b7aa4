"""`gateway broker certificate`: a client certificate of the gateway's own CA, for a device or a user."""

import argparse
import contextlib
import os
from pathlib import Path
from typing import Any

from gateway.cli.broker_arguments import add_action
from gateway.cli.control_client import ask
from gateway.cli.output import print_json
from gateway.cli.places import state_of
from gateway.errors import ConfigError, GatewayError
from gateway.model.device import is_uuid, normalised
from gateway.runtime.files import write_atomically

DAYS = 3650  # devices in walls are not visited; who loses one names it in `revoked_certificates`
MOST_DAYS = 36_500
MOST_NAME = 64  # characters of a common name


def configure(actions: Any) -> None:
    """Add the action."""
    action = add_action(
        actions, "certificate", "Issue a client certificate for a device or user.", _issue
    )
    action.add_argument("name", metavar="NAME", help="uuid of a device, or name of a user")
    action.add_argument(
        "--out", metavar="FILE", required=True, type=Path, help="new file (PEM, mode 0600)"
    )
    action.add_argument(
        "--days", metavar="N", type=int, default=DAYS, help="valid this long (3650)"
    )
    action.epilog = "example: gateway broker certificate kitchen --out kitchen.pem"


def _issue(args: argparse.Namespace) -> int:
    from gateway.uplink.authority import Authority  # noqa: PLC0415 - this action alone needs it
    from gateway.uplink.certificate import fingerprint_of  # noqa: PLC0415

    state, out = state_of(args), args.out
    _check(args, state)
    is_device = is_uuid(args.name)
    name = normalised(args.name) if is_device else args.name
    authority = Authority(state)
    ca = authority.ready().read_text("ascii")
    made = authority.sign_client(name, args.days, uri=f"urn:uuid:{name}" if is_device else "")
    try:
        write_atomically(out, f"{made['certificate']}{made['key']}{ca}".encode())
    except OSError as error:
        raise _impossible(
            f"{out} cannot be written: {error.strerror}", "name another file"
        ) from error
    answer = {
        "name": name,
        "kind": "device" if is_device else "user",
        "file": str(out),
        "sha256": fingerprint_of(made["certificate"]),
        "until_ms": made["until_s"] * 1000,
        "note": None if is_device else _note(state, name),
    }
    if args.json:
        print_json(answer)
        return 0
    print(f"{out} holds certificate, key and CA of {answer['kind']} {name}; keep it secret")
    print(f"  SHA-256 {answer['sha256']}")
    print(f"  mosquitto_pub --cafile {out} --cert {out} --key {out} -p 8883 -t TOPIC -m TEXT")
    if answer["note"]:
        print(f"note: {answer['note']}")
    return 0


def _check(args: argparse.Namespace, state: Path) -> None:
    if not 0 < len(args.name) <= MOST_NAME or not args.name.isprintable():
        raise _impossible(
            f"{args.name!r} fits no certificate", f"a name has 1 to {MOST_NAME} characters"
        )
    if not 0 < args.days <= MOST_DAYS:
        raise _impossible(f"{args.days} days are no time", f"give 1 to {MOST_DAYS}")
    if args.out.exists():
        raise _impossible(f"{args.out} is there already", "name a new file, or move that one away")
    try:
        owner = state.stat().st_uid
    except OSError as error:
        hint = "run a node once, or name its directory with --state"
        raise _impossible(f"there is no state directory {state}", hint) from error
    if owner != os.geteuid():
        raise _impossible(
            f"the CA in {state} belongs to another user", "run this as that user (sudo -u gateway)"
        )


def _note(state: Path, name: str) -> str | None:
    """Return a warning where a running node knows no such user: a certificate makes nobody."""
    with contextlib.suppress(GatewayError):
        users = ask(state, "GET", "/broker/users")
        if name not in {user["name"] for user in users}:
            return f"there is no user {name!r} yet (gateway broker user add {name})"
    return None


def _impossible(text: str, hint: str) -> ConfigError:
    return ConfigError(f"no certificate was issued: {text}", code="GW-1125", hint=hint)
