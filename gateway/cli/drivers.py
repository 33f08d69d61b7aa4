"""List drivers: what they are for, where they come from, and why one does not run."""

import argparse
import json

from gateway.bridge.discovery import Found, discover

EXAMPLE = """example:
  gateway drivers              what can be plugged in
  gateway drivers vedirect     the keys that this driver takes in gateway.toml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", nargs="?", help="show the settings of this driver")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="NAME", help="load this third-party driver"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table, or one driver; returns 1 when a driver failed."""
    drivers = discover(args.allow)
    if args.name:
        return _print_settings(args.name, drivers.get(args.name).settings.model_json_schema())
    found = drivers.all()
    if args.json:
        print(json.dumps([_row(each) for each in found], indent=2))
    else:
        for each in found:
            row = _row(each)
            print(f"{row['name']:14} {row['link']:11} {row['source']:24} {row['summary']}")
    return 1 if any(each.driver is None and each.code != "GW-1706" for each in found) else 0


def _row(found: Found) -> dict[str, str]:
    if found.driver is None:
        told = {"link": "-", "summary": f"{found.code} {found.reason} -> {found.hint}"}
    else:
        told = {"link": found.driver.link.value, "summary": found.driver.summary}
    return {"name": found.name, "source": found.source} | told


def _print_settings(name: str, schema: dict[str, object]) -> int:
    keys = schema.get("properties")
    if not isinstance(keys, dict) or not keys:
        print(f"{name} takes no settings")
        return 0
    for key, field in keys.items():
        default = json.dumps(field["default"]) if "default" in field else "-"
        print(f"{key:20} {default:10} {field.get('description', '')}")
    return 0
