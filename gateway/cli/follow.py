"""`gateway follow`: one line a reading, as it comes."""

import argparse
import json
import time
from typing import Any

from gateway.cli.control_client import stream
from gateway.cli.output import coloured, with_unit
from gateway.cli.places import state_of

SLUG_WIDTH = 24


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    parser.add_argument("device", nargs="*", help="only these devices, by slug or uuid")
    parser.add_argument("--count", type=int, default=0, help="end after so many readings")
    parser.add_argument("--json", action="store_true", help="print one JSON object a reading")
    parser.epilog = "example: gateway follow greenhouse-1"


def run(args: argparse.Namespace) -> int:
    """Print events until the node ends or the count is reached."""
    wanted, left = set(args.device), args.count
    for event, data in stream(state_of(args), "/events"):
        entry = json.loads(data)
        if not isinstance(entry, dict):
            continue
        if event == "reading":
            if wanted and not wanted & {entry.get("slug"), entry.get("uuid")}:
                continue
            print(data if args.json else reading_line(entry), flush=True)
            left -= 1
            if left == 0:
                return 0
        elif not args.json and not wanted:
            note = note_line(event, entry)
            if note:
                print(coloured(note, "dim"), flush=True)
    return 0


def reading_line(entry: dict[str, Any]) -> str:
    """Return one reading as a line with its device in a column of its own."""
    values = "  ".join(
        f"{quantity} {coloured(with_unit(value), 'green')}"
        for quantity, value in entry["values"].items()
    )
    late = coloured("  late", "yellow") if entry.get("late") else ""
    slug = coloured(str(entry["slug"]).ljust(SLUG_WIDTH), "bold")
    return f"{_clock(entry.get('at_ms'))}  {slug}  {values}{late}"


def note_line(event: str, entry: dict[str, Any]) -> str:
    """Return a line about something other than a reading, or nothing."""
    now = time.strftime("%H:%M:%S")
    match event:
        case "device":
            name = entry.get("slug") or entry.get("uuid", "")
            return f"{now}  device {name}: {entry.get('availability') or 'new'}"
        case "uplink":
            reason = f" ({entry['reason']})" if entry.get("reason") else ""
            return f"{now}  uplink {entry.get('state', '')}{reason}, {entry.get('depth_records', 0)} waiting"
        case "port":
            text = entry.get("text") or f"port {entry.get('device', '')}"
            more = entry.get("suggestion")
            return f"{now}  {text}" + (f"\n{more}" if more else "")
    return ""


def _clock(at_ms: int | None) -> str:
    if at_ms is None:
        return "--:--:--"
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))
