"""Parse the command line and import only the command that was asked for: `gateway status` must be quick on a Pi."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from gateway import __version__
from gateway.errors import GatewayError

COMMANDS: dict[str, str] = {}
"""command -> one-line help; its module is `gateway.cli.<command>` with `configure(parser)` and `run(args) -> int`."""

EXIT_FAILED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h; the unit does not restart on it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="gateway", description="An MQTT-first IoT gateway for Meshblu."
    )
    parser.add_argument("--version", action="version", version=f"meshblu-gateway {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == asked:
            module = importlib.import_module(f"gateway.cli.{name.replace('-', '_')}")
            module.configure(command)
    args = parser.parse_args(words)
    module = importlib.import_module(f"gateway.cli.{args.command.replace('-', '_')}")
    try:
        return int(module.run(args))
    except GatewayError as error:
        print(f"gateway: {error.code} {error.text}\n  what to do: {error.hint}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
