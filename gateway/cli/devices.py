"""`gateway devices`: which devices there are, what they are called, and which serial ports could bring more."""

import argparse
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gateway.cli.control_client import ask
from gateway.cli.output import print_json, print_table, span
from gateway.cli.places import state_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(action="list")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    _action(actions, "list", "List devices, what they are called and when they were heard.")
    rename = _action(actions, "rename", "Give a device another name in topics.")
    rename.add_argument("device", metavar="DEVICE", help="its present name, or its uuid")
    rename.add_argument("slug", metavar="NAME", help="letters, digits and `-`")
    rename.epilog = "example: gateway devices rename ruuvi-f3a1 sauna"
    forget = _action(actions, "forget", "Forget a device; if it is heard again, it is a new one.")
    forget.add_argument("device", metavar="DEVICE", help="its name, or its uuid")
    forget.epilog = "example: gateway devices forget sauna"
    _action(actions, "ports", "List serial ports by the names that stay the same at replug.")
    parser.epilog = "example: gateway devices ports"


def _action(actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=summary)
    # SUPPRESS: a default here would overwrite what was given before the action.
    action.add_argument("--state", metavar="DIR", default=argparse.SUPPRESS, help="state directory")
    action.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="configuration")
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    action.epilog = f"example: gateway devices {name}"
    return action


def run(args: argparse.Namespace) -> int:
    """Do what was asked; only `ports` needs no running node."""
    match args.action:
        case "ports":
            return _ports(as_json=args.json)
        case "rename":
            uuid = _uuid_of(args)
            path = f"/devices/{quote(uuid, safe='')}/rename"
            answer = ask(state_of(args), "POST", path, {"slug": args.slug})
            said = f"{args.device} is now called {args.slug}"
        case "forget":
            uuid = _uuid_of(args)
            answer = ask(state_of(args), "DELETE", f"/devices/{quote(uuid, safe='')}")
            said = f"{args.device} is forgotten"
        case _:
            return _list(_devices(args), as_json=args.json)
    if args.json:
        print_json(answer)
    else:
        print(said)
    return 0


def _devices(args: argparse.Namespace) -> list[Mapping[str, Any]]:
    answer = ask(state_of(args), "GET", "/devices")
    return list(answer.get("devices", []) if isinstance(answer, dict) else answer)


def _uuid_of(args: argparse.Namespace) -> str:
    """Return the uuid of the device that is called so; else the word itself, which the node then judges."""
    found = (device["uuid"] for device in _devices(args) if device.get("slug") == args.device)
    return str(next(found, args.device))


def _list(devices: list[Mapping[str, Any]], *, as_json: bool) -> int:
    if as_json:
        print_json(devices)
        return 0
    if not devices:
        print("no devices yet; `gateway devices ports` lists serial ports that could bring some")
        return 0
    now_ms = time.time_ns() // 1_000_000
    print_table([("NAME", "DRIVER", "LINK", "HEARD", "UUID"), *(_row(d, now_ms) for d in devices)])
    return 0


def _row(device: Mapping[str, Any], now_ms: int) -> tuple[str, ...]:
    seen = device.get("last_seen_ms")
    return (
        str(device.get("slug") or device["uuid"]),
        str(device.get("driver") or "-"),
        str(device.get("link") or "-"),
        f"{span((now_ms - seen) / 1000)} ago" if seen else "never",
        str(device["uuid"]),
    )


def _ports(*, as_json: bool) -> int:
    from gateway.links.ports import list_all  # noqa: PLC0415 - pyserial, for this action only

    ports = list_all()
    if as_json:
        fields = ("device", "stable_name", "description", "note", "suggestion")
        print_json([{field: getattr(port, field) for field in fields} for port in ports])
        return 0
    if not ports:
        print("no serial port; plug a device in (`dmesg | tail` shows whether it is seen)")
        return 0
    for port in ports:
        print(f"{port.device}  {port.description}")
        print(f"  stable name: {port.stable_name}{f' ({port.note})' if port.note else ''}")
        print("  for gateway.toml:")
        print("\n".join(f"    {line}" for line in port.suggestion.splitlines()))
    return 0
