"""`gateway status`: what the running node does, on one screen."""

import argparse
import time
from typing import Any

from gateway.cli.control_client import ask
from gateway.cli.output import coloured, print_json, print_table, size, span, with_unit
from gateway.cli.places import state_of

STATE_COLOURS = {
    "online": "green",
    "up": "green",
    "connected": "green",
    "offline": "red",
    "refused": "red",
    "parked": "red",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "example: gateway status --json"


def run(args: argparse.Namespace) -> int:
    """Print the status; returns 1 when something is parked."""
    status = ask(state_of(args), "GET", "/status")
    if args.json:
        print_json(status)
    else:
        print_status(status, now_ms=time.time_ns() // 1_000_000)
    return 1 if status.get("parked") else 0


def print_status(status: dict[str, Any], *, now_ms: int) -> None:
    """Print a snapshot for people; rows that a node does not send are left out."""
    node = status["node"]
    demo = "  (demo)" if node.get("demo") else ""
    print(f"{coloured(node['name'], 'bold')}  {node['uuid']}  version {node['version']}{demo}")
    print(f"up for {span(node.get('uptime_s'))}")
    listeners = [
        f"{name.upper()} on {', '.join(status[name]['listeners'])}"
        for name in ("mqtt", "http")
        if status.get(name, {}).get("listeners")
    ]
    if listeners:
        print("; ".join(listeners))
    _print_uplink(status.get("uplink") or {})
    _print_devices(status.get("devices", []), now_ms)
    _print_children(status.get("children", []), now_ms)
    _print_bridges(status.get("bridges", []))
    _print_links(status)
    for row in status.get("parked", []):
        print(f"\n{coloured('parked', 'red')} {row['what']}: {row['code']} {row['text']}")
        print(f"  what to do: {row['hint']}")


def _print_uplink(uplink: dict[str, Any]) -> None:
    state = str(uplink.get("state", "none"))
    parent = f" to {uplink['parent']}" if uplink.get("parent") else ""
    reason = f" ({uplink['reason']})" if uplink.get("reason") else ""
    print(f"uplink{parent}: {coloured(state, STATE_COLOURS.get(state, 'yellow'))}{reason}")
    if uplink.get("parent") or uplink.get("depth_records"):
        oldest = uplink.get("oldest_s")
        waiting = f"{uplink.get('depth_records', 0)} ({size(uplink.get('depth_bytes') or 0)})"
        age = f", oldest {span(oldest)}" if oldest else ""
        print(
            f"  waiting: {waiting}{age}; taken: {uplink.get('taken', 0)}; "
            f"refused: {uplink.get('refused', 0)}"
        )


def _print_devices(devices: list[dict[str, Any]], now_ms: int) -> None:
    print(f"\n{len(devices)} device{'' if len(devices) == 1 else 's'}")
    rows = []
    for device in devices:
        seen = device.get("last_seen_ms")
        ago = f"{span((now_ms - seen) / 1000)} ago" if seen else "never"
        values = "  ".join(
            f"{quantity} {with_unit(entry)}" for quantity, entry in device.get("values", {}).items()
        )
        rows.append((device["slug"], device.get("driver", ""), ago, values))
    print_table(rows, indent="  ")


def _print_children(children: list[dict[str, Any]], now_ms: int) -> None:
    if not children:
        return
    print(f"\n{len(children)} child{'' if len(children) == 1 else 'ren'}")
    rows = []
    for child in children:
        last = child.get("last_seen_ms")
        ago = f"last {span((now_ms - last) / 1000)} ago" if last else ""
        state = "online" if child.get("online") else "offline"
        rows.append((child["node"], state, f"refused {child.get('refused', 0)}", ago))
    print_table(rows, indent="  ")


def _print_bridges(bridges: list[dict[str, Any]]) -> None:
    for bridge in bridges:
        state = str(bridge["state"])
        since = f" for {span(bridge['connected_s'])}" if bridge.get("connected_s") else ""
        version = f", MQTT {bridge['version']}" if bridge.get("version") else ""
        shown = coloured(state, STATE_COLOURS.get(state, "yellow"))
        print(f"\nbridge {bridge['name']} to {bridge['peer']}: {shown}{since}{version}")
        dropped = sum(bridge.get("dropped", {}).values())
        why = ", ".join(f"{reason} {count}" for reason, count in bridge.get("dropped", {}).items())
        print(
            f"  sent: {bridge['sent']}; received: {bridge['received']}; waiting: {bridge['queued']}; "
            f"dropped: {dropped}{f' ({why})' if why else ''}"
        )
        if bridge.get("reason"):
            print(f"  {bridge['reason']}")
        for pattern in bridge.get("refused_filters", []):
            print(f"  the other broker does not let it read {pattern}")


def _print_links(status: dict[str, Any]) -> None:
    links = status.get("links", [])
    if links:
        print("\nlinks")
        print_table(
            [(link["name"], link["state"], link.get("reason") or "") for link in links], indent="  "
        )
        for link in links:
            if link.get("hint"):
                print(f"  {link['name']}: {link['hint']}")
