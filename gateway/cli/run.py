"""`gateway run`: one node until it is told to stop; with --demo beside a second node and played-back sensors."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import places

if TYPE_CHECKING:
    from gateway.cli.demo import DemoPorts
    from gateway.config.load import Loaded

EPILOG = """examples:
  gateway run                                  what gateway.toml says
  gateway run --demo                           played-back sensors, and a second node as the cloud
  gateway run --config /etc/gateway/gateway.toml --state /var/lib/gateway
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    places.add_arguments(parser)
    parser.add_argument(
        "--demo",
        action="store_true",
        help="play captured sensors back, with a second node as parent; all on this machine",
    )
    parser.add_argument("--demo-parent-of", metavar="ORIGIN", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C."""
    if args.demo:
        return _demo(args)
    from gateway.app import node  # noqa: PLC0415 - everything, but only for this command

    loaded = node.load_configuration(places.config_of(args), places.state_of(args))
    state = places.state_of(args, loaded.settings.node.state_dir)
    options = node.Options(state, child_page=args.demo_parent_of)
    return node.main(loaded, options)


def _demo(args: argparse.Namespace) -> int:
    from gateway.app import node  # noqa: PLC0415
    from gateway.cli import demo  # noqa: PLC0415

    state = demo.fresh_state(places.demo_state_of(args))
    loaded = node.load_configuration(places.config_of(args), state)
    own = demo.choose((loaded.settings.mqtt.tcp.port, loaded.settings.http.port))
    above = demo.choose(demo.PARENT_PORTS)
    print("starting a second node that plays the cloud ...", flush=True)
    try:
        with demo.parent_running(demo.cloud_state(state), above, own.page) as line:
            options = node.Options(
                state,
                is_demo=True,
                join_line=line,
                parent_page=above.page,
                on_ready=lambda: _welcome(state, own),
            )
            return node.main(_on_ports(loaded, own), options)
    finally:
        _farewell(state)


def _on_ports(loaded: "Loaded", ports: "DemoPorts") -> "Loaded":
    import dataclasses  # noqa: PLC0415

    settings = loaded.settings
    tcp = settings.mqtt.tcp.model_copy(update={"port": ports.mqtt, "bind": ("127.0.0.1",)})
    mqtt = settings.mqtt.model_copy(update={"tcp": tcp})
    http = settings.http.model_copy(update={"port": ports.http, "bind": "127.0.0.1"})
    return dataclasses.replace(
        loaded, settings=settings.model_copy(update={"mqtt": mqtt, "http": http})
    )


def _welcome(state: Path, ports: "DemoPorts") -> None:
    from gateway.app.client_file import write_client_file  # noqa: PLC0415

    command = write_client_file(state, ports.mqtt)
    print(
        f"\n  open    {ports.page}/ui\n"
        f"  listen  {command}\n"
        f"  follow  gateway follow --state {state}\n"
        "  plug a serial sensor in, and it is named here and on the page\n"
        "  Ctrl-C ends it\n",
        flush=True,
    )


def _farewell(state: Path) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(
            f"stopped; state lies in {state} and {state}-cloud: rm -r {state} {state}-cloud removes it",
            file=sys.stderr,
        )
