"""`gateway broker`: who is connected, what waits, what was refused, and who may log in."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from gateway.cli import broker_certificate, broker_trace, broker_users
from gateway.cli.broker_arguments import Act, add_action, confirmed, seconds
from gateway.cli.control_client import ask
from gateway.cli.output import print_json, print_table, size, span
from gateway.cli.places import state_of

Rows = Sequence[Mapping[str, Any]]

ACTIONS = {
    "clients": "List who is connected.",
    "sessions": "List sessions, those of absent clients too.",
    "retained": "List or clear retained messages.",
    "kick": "End the sessions of a user or device, and keep it away for a while.",
    "refused": "Show what was refused lately, and why.",
    "trace": "Watch the packets of clients live.",
    "user": "Add, change, remove and list local users.",
}
"""action -> what it does, for help and README."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, act: Act | None) -> argparse.ArgumentParser:
        return add_action(actions, name, ACTIONS[name], act)

    clients = add("clients", _clients)
    clients.epilog = "example: gateway broker clients"
    sessions = add("sessions", _sessions)
    sessions.epilog = "example: gateway broker sessions"
    retained = add("retained", _retained)
    retained.add_argument(
        "filter", metavar="FILTER", nargs="?", default="#", help="only these topics ('#')"
    )
    retained.add_argument("--clear", action="store_true", help="clear what FILTER matches")
    retained.add_argument("--yes", action="store_true", help="clear without asking")
    retained.epilog = "example: gateway broker retained 'devices/+/reading'"
    kick = add("kick", _kick)
    kick.add_argument("identity", metavar="IDENTITY", help="name of a user, or uuid of a device")
    kick.add_argument("--client-id", metavar="ID", help="only the session of this client id")
    kick.add_argument(
        "--ban-for", metavar="TIME", type=seconds, default=0.0, help="and keep it away: 30s, 5m, 2h"
    )
    kick.epilog = "example: gateway broker kick anna --ban-for 5m"
    refused = add("refused", _refused)
    refused.epilog = "example: gateway broker refused"
    broker_trace.configure(add("trace", broker_trace.run))
    broker_users.configure(add("user", None))
    broker_certificate.configure(actions)
    parser.epilog = "example: gateway broker clients"


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    return int(args.act(args))


def _clients(args: argparse.Namespace) -> int:
    rows: Rows = ask(state_of(args), "GET", "/broker/clients")
    head = ("IDENTITY", "CLIENT ID", "MQTT", "LISTENER", "PEER", "SINCE", "IN", "OUT", "WAITING", "DROPPED")  # fmt: skip
    return _show(args, rows, head, _client_row, "nobody is connected")


def _client_row(row: Mapping[str, Any]) -> Sequence[str]:
    return (
        row["identity"],
        row["client_id"],
        _version(row),
        row["listener"],
        row["peer"],
        span(row["since_s"]),
        f"{row['packets_in']} ({size(row['bytes_in'])})",
        f"{row['messages_out']} ({size(row['bytes_out'])})",
        _waiting(row),
        str(row["dropped"]),
    )


def _sessions(args: argparse.Namespace) -> int:
    rows: Rows = ask(state_of(args), "GET", "/broker/sessions")
    head = ("IDENTITY", "CLIENT ID", "MQTT", "STATE", "WAITING", "DROPPED", "SUBSCRIPTIONS")
    return _show(args, rows, head, _session_row, "there are no sessions")


def _session_row(row: Mapping[str, Any]) -> Sequence[str]:
    state = "online"
    if not row["online"]:
        state = f"away {span(row['offline_s'])}, ends in {span(row['expires_in_s'])}"
    filters = [f"{item['filter']} q{item['qos']}" for item in row["subscriptions"]]
    more = f" and {len(filters) - 5} more" if len(filters) > 5 else ""
    return (
        row["identity"],
        row["client_id"],
        _version(row),
        state,
        _waiting(row),
        str(row["dropped"]),
        ", ".join(filters[:5]) + more or "-",
    )


def _retained(args: argparse.Namespace) -> int:
    query = urlencode({"filter": args.filter})
    answer = ask(state_of(args), "GET", f"/broker/retained?{query}")
    if args.clear:
        return _clear(args, answer["count"])
    if args.json:
        print_json(answer)
        return 0
    rows: Rows = answer["rows"]
    head = ("TOPIC", "SIZE", "QOS", "AGE", "ENDS IN")
    _show(args, rows, head, _retained_row, f"nothing retained matches {args.filter}")
    if rows:
        hidden = answer["count"] - len(rows)
        more = f"; {hidden} more are not shown" if hidden else ""
        print(f"{answer['count']} retained messages, {size(answer['bytes'])}{more}")
    return 0


def _retained_row(row: Mapping[str, Any]) -> Sequence[str]:
    return (
        row["topic"],
        size(row["bytes"]),
        str(row["qos"]),
        span(row["age_s"]),
        span(row["expires_in_s"]),
    )


def _clear(args: argparse.Namespace, count: int) -> int:
    if count and not args.yes and not confirmed(f"clear {count} retained messages?"):
        print("nothing was cleared")
        return 1
    answer = ask(state_of(args), "POST", "/broker/retained/clear", {"filter": args.filter})
    if args.json:
        print_json(answer)
    else:
        print(f"{answer['cleared']} retained messages cleared")
    return 0


def _kick(args: argparse.Namespace) -> int:
    asked = {"identity": args.identity, "client_id": args.client_id, "ban_s": args.ban_for}
    answer = ask(state_of(args), "POST", "/broker/kick", asked)
    if args.json:
        print_json(answer)
        return 0
    count = answer["kicked"]
    said = f"{count} session{'' if count == 1 else 's'} of {args.identity} ended"
    banned_s = answer["banned_s"]
    print(f"{said}; it may not come back for {span(banned_s)}" if banned_s else said)
    return 0


def _refused(args: argparse.Namespace) -> int:
    rows: Rows = ask(state_of(args), "GET", "/broker/refused")
    head = ("LAST", "TIMES", "WHAT", "IDENTITY", "CLIENT ID", "PEER", "WHY")
    return _show(args, rows, head, _refused_row, "nothing was refused since the start")


def _refused_row(row: Mapping[str, Any]) -> Sequence[str]:
    return (
        f"{span(row['last_s'])} ago",
        str(row["count"]),
        row["what"],
        row["identity"] or "-",
        row["client_id"] or "-",
        row["peer"] or "-",
        row["reason"],
    )


def _version(row: Mapping[str, Any]) -> str:
    return {3: "3.1", 4: "3.1.1", 5: "5"}[row["version"]]


def _waiting(row: Mapping[str, Any]) -> str:
    queued = f"{row['queued']} ({size(row['queued_bytes'])})" if row["queued"] else "0"
    return f"{queued}, {row['inflight']} in flight"


def _show(
    args: argparse.Namespace,
    rows: Rows,
    head: Sequence[str],
    line: Any,
    nothing: str,
) -> int:
    """Print rows as JSON or as a table with a head."""
    if args.json:
        print_json(rows)
    elif not rows:
        print(nothing)
    else:
        print_table([head, *(line(row) for row in rows)])
    return 0
