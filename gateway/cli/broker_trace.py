"""`gateway broker trace`: the packets of some clients, as they come and go."""

import argparse
import json
import time
from typing import Any
from urllib.parse import urlencode

from gateway.cli.control_client import stream
from gateway.cli.output import coloured, plain
from gateway.cli.places import state_of

COLOURS = {"received": "green", "sent": "blue", "event": "yellow"}
EPILOG = """example: gateway broker trace --client-id tasmota-7F3A --payload

What belongs to the mesh (topics of uuids, Meshblu's requests, $gateway) is never shown, nor is a password."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--client-id", metavar="ID", help="only the client of this id")
    parser.add_argument("--identity", metavar="NAME", help="only this user, or device by its uuid")
    parser.add_argument("--topic", metavar="FILTER", help="only packets that name such a topic")
    parser.add_argument("--payload", action="store_true", help="show payloads, at most 256 bytes")
    parser.add_argument("--count", type=int, default=0, help="end after so many lines")
    parser.epilog = EPILOG


def run(args: argparse.Namespace) -> int:
    """Print lines until the node ends or the count is reached."""
    wanted = {
        "client_id": args.client_id,
        "identity": args.identity,
        "topic": args.topic,
        "payload": "1" if args.payload else None,
    }
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    left = args.count
    for event, data in stream(state_of(args), f"/broker/trace?{query}"):
        parsed = json.loads(data)
        if event == "lost":
            said = json.dumps({"lost": parsed}) if args.json else f"-- {parsed} lines were lost"
            print(said, flush=True)
            continue
        print(data if args.json else _line(parsed), flush=True)
        left -= 1
        if left == 0:
            break
    return 0


def _line(row: dict[str, Any]) -> str:
    at_s, at_ms = divmod(row["at_ms"], 1000)
    clock = time.strftime("%H:%M:%S", time.localtime(at_s))
    who = plain(f"{row['identity'] or '?'} ({row['client_id'] or row['peer']})")
    way = {"received": f"from {who}", "sent": f"to {who}"}.get(row["direction"], who)
    said = coloured(f"{way}: {row['text']}", COLOURS.get(row["direction"], "dim"))
    return f"{clock}.{at_ms:03d}  {said}"
