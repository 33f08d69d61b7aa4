"""Where a command finds the configuration and the state directory; imports nothing heavy."""

import argparse
import os
from pathlib import Path

SYSTEM_CONFIG = Path("/etc/gateway/gateway.toml")
SYSTEM_STATE = Path("/var/lib/gateway")
CHECKOUT_STATE = Path(".run/node")
DEMO_STATE = Path(".run/demo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that every command has."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="configuration (default: ./gateway.toml, else /etc/gateway/gateway.toml, else built in)",
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        help="state directory (default: .run/node in a checkout, else /var/lib/gateway)",
    )


def config_of(args: argparse.Namespace) -> Path | None:
    """Return the configuration file, or None when there is none and the built-in defaults hold."""
    if args.config:
        return Path(args.config)
    for path in (Path("gateway.toml"), SYSTEM_CONFIG):
        if path.exists():
            return path
    return None


def state_of(args: argparse.Namespace, configured: str | None = None) -> Path:
    """Return the state directory: --state, `node.state_dir`, $STATE_DIRECTORY, the checkout's, the system's.

    `configured` is `node.state_dir` where it is known; else the file is looked into.
    """
    if args.state:
        return Path(args.state)
    named = configured or _configured(config_of(args))
    if named:
        return Path(named)
    if os.environ.get("STATE_DIRECTORY"):  # systemd; the first of a list is the service's own
        return Path(os.environ["STATE_DIRECTORY"].split(":")[0])
    return CHECKOUT_STATE if in_checkout() else SYSTEM_STATE


def demo_state_of(args: argparse.Namespace) -> Path:
    """Return a demo's state directory: --state, else its own; what a node in earnest says of its is not asked."""
    return Path(args.state) if args.state else DEMO_STATE


def in_checkout() -> bool:
    """Return whether the current folder is a checkout of this project."""
    return Path("pyproject.toml").exists() and Path("gateway/cli/places.py").exists()


def _configured(path: Path | None) -> str | None:
    try:
        text = path.read_text("utf-8") if path else ""
    except (OSError, UnicodeDecodeError):
        return None  # the command that needs the file says what is wrong with it
    if "state_dir" not in text:
        return None
    import tomllib  # noqa: PLC0415 - 18 ms, and hardly any file has this key

    try:
        found = tomllib.loads(text).get("node", {}).get("state_dir")
    except (tomllib.TOMLDecodeError, AttributeError):
        return None
    return found if isinstance(found, str) else None
