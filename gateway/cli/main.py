"""Parse the command line and import only the command that was asked for: `gateway status` must be quick on a Pi."""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from gateway import __version__
from gateway.cli import places
from gateway.errors import ConfigError, GatewayError

COMMANDS: dict[str, str] = {
    "run": "Run a node: listen, read sensors, sync with the parent.",
    "status": "Show what the running node does: devices, line to the parent, faults.",
    "follow": "Print readings as they come.",
    "devices": "List and name devices; list serial ports by their stable names.",
    "drivers": "List drivers, and why one could not be loaded.",
    "try": "Decode a capture file or a port without starting a node.",
    "config": "Check, show and document the configuration.",
    "logs": "Show the node's last log lines, follow them, set levels.",
    "spool": "Show what waits for the parent, and what it refused.",
    "broker": "Show and end MQTT clients, see what was refused, keep local users.",
    "mesh": "Invite children, open registration, list children, cut the line.",
    "join": "Make another node the parent of this one.",
    "leave": "Leave the parent.",
    "doctor": "Check this machine and say how to mend what is wrong.",
    "explain": "Explain an error code such as GW-1203.",
}
"""command -> one-line help; its module is `gateway.cli.<command>` with `configure(parser)` and `run(args) -> int`."""

EXIT_FAILED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; the unit does not restart on it
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = build_parser(next((word for word in words if not word.startswith("-")), "")).parse_args(
        words
    )
    try:
        return int(_module(args.command).run(args))
    except GatewayError as error:
        print(f"gateway: {error.code} {error.text}\n  what to do: {error.hint}", file=sys.stderr)
        return EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`) has what it wanted; nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED


def build_parser(asked: str) -> argparse.ArgumentParser:
    """Return the parser; only the command `asked` for has its own options, for that imports its module."""
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="An MQTT-first IoT gateway for Meshblu.",
        epilog="`gateway COMMAND --help` shows a command's options and an example.",
    )
    parser.add_argument("--version", action="version", version=f"meshblu-gateway {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == asked:
            _module(name).configure(command)
            # A command that adds the common options itself keeps its own.
            with contextlib.suppress(argparse.ArgumentError):
                places.add_arguments(command)
    return parser


def _module(command: str) -> Any:
    return importlib.import_module(f"gateway.cli.{command}")
