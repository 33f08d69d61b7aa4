# ruff: noqa: N999 - named after the command; imported by its name only
"""Decode a capture or a port without starting a node: does this driver understand this device?"""

import argparse
import asyncio
import contextlib
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.bridge.discovery import Drivers, discover, settings_of
from gateway.driver.captures import Capture, parsed
from gateway.driver.contract import Codec, Driver, LinkKind
from gateway.errors import ConfigError, GatewayError, MalformedFrameError
from gateway.model import CommandResult, Event, Reading, Stamp

AT = Stamp("capture", 0)
STARTS_WHOLE = "starts_whole"  # setting of line drivers: a capture begins with a whole line
MOST_CAPTURE_BYTES = 64 << 20
EXAMPLE = """examples:
  gateway try drivers/captures/serial.json
  gateway try dump.bin --driver vedirect
  gateway try /dev/ttyUSB0 --driver line-fields --baud 9600 --set columns='["t","h"]'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "what", metavar="CAPTURE-or-PORT", help="capture file (JSON or raw), or port"
    )
    parser.add_argument("--driver", help="driver; without it the one that understands most")
    parser.add_argument("--baud", type=int, help="speed of the port (default: the driver's)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a driver's setting"
    )
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="how long to listen (default 15)"
    )
    parser.add_argument(
        "--allow", action="append", default=[], metavar="NAME", help="load this third-party driver"
    )


def run(args: argparse.Namespace) -> int:
    """Decode and print; returns 0 when something was understood."""
    path, keys, drivers = Path(args.what), _keys(args.set), discover(args.allow)
    try:
        is_port = stat.S_ISCHR(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be opened: {error.strerror}",
            code="GW-1709",
            hint="name a capture file, or a port such as /dev/ttyUSB0",
        ) from error
    print(f"{'device':44} {'quantity':24} {'value':>14} unit", flush=True)
    if is_port:
        if not args.driver:
            raise ConfigError(
                "a port needs --driver", code="GW-1702", hint="`gateway drivers` lists them"
            )
        return _finished(_listen(path, drivers.get(args.driver), keys, args))
    return _finished(_decode(_records(path, args.driver), args.driver, keys, drivers))


def _finished(count: int) -> int:
    print(f"{count} readings and events")
    return 0 if count else 1


def _keys(pairs: Sequence[str]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        try:
            keys[key] = json.loads(text)
        except ValueError:
            keys[key] = text
    return keys


# --- captures ---------------------------------------------------------------------------------


def _records(path: Path, driver: str | None) -> list[Capture]:
    if path.stat().st_size > MOST_CAPTURE_BYTES:
        raise MalformedFrameError(
            f"{path} is larger than {MOST_CAPTURE_BYTES >> 20} MiB",
            code="GW-1709",
            hint="cut a piece out of it, for instance with `head -c`",
        )
    data = path.read_bytes()
    if path.suffix == ".json":
        try:
            records = json.loads(data)
        except ValueError as error:
            raise MalformedFrameError(
                f"{path} is not JSON: {error}",
                code="GW-1709",
                hint="raw bytes go into a file with another ending than .json",
            ) from error
        return [parsed(each) for each in (records if isinstance(records, list) else [records])]
    return [Capture(path.name, driver or "", LinkKind.SERIAL, data)]


def _decode(
    captures: Sequence[Capture], name: str | None, keys: Mapping[str, Any], drivers: Drivers
) -> int:
    count = 0
    for capture in captures:
        chosen = name or capture.driver
        if chosen and drivers.get(chosen).link is not capture.link:
            continue
        print(f"-- {capture.id} {capture.source}".rstrip())
        said = (
            _said(drivers.get(chosen), capture, keys)
            if chosen
            else _guessed(capture, keys, drivers)
        )
        for item in said:
            count += _show(item)
    return count


def _said(driver: Driver, capture: Capture, keys: Mapping[str, Any]) -> Sequence[object]:
    settings = {**capture.settings, **keys}
    if STARTS_WHOLE in driver.settings.model_fields:
        settings.setdefault(STARTS_WHOLE, True)
    codec: Codec[Any, Any] = driver.open(settings_of(driver, settings), "capture")
    return codec.feed(capture.item, AT)


def _guessed(capture: Capture, keys: Mapping[str, Any], drivers: Drivers) -> Sequence[object]:
    """Return what the driver makes of it that makes the most of it."""
    best: Sequence[object] = ()
    name = ""
    for found in drivers.all():
        if found.driver is None or found.driver.link is not capture.link:
            continue
        with contextlib.suppress(GatewayError):  # settings that this driver needs, or does not know
            said = _said(found.driver, capture, keys)
            if len(said) > len(best) and found.name != "simulated":
                best, name = said, found.name
    print(f"   read as {name}" if name else "   no driver understands this")
    return best


# --- ports ------------------------------------------------------------------------------------


def _listen(path: Path, driver: Driver, keys: Mapping[str, Any], args: argparse.Namespace) -> int:
    from gateway.links.serial_open import PortSettings  # noqa: PLC0415 - pyserial, only for a port
    from gateway.links.serial_port import SerialLink  # noqa: PLC0415
    from gateway.runtime.clock import SystemClock  # noqa: PLC0415

    port = PortSettings(name="try", port=str(path), baud=args.baud or driver.default_baud)
    link = SerialLink(port, SystemClock())
    codec: Codec[Any, Any] = driver.open(settings_of(driver, keys), link.origin)
    return asyncio.run(_heard(link, codec, args.seconds))


async def _heard(link: Any, codec: Codec[Any, Any], seconds: float) -> int:
    count = 0
    try:
        async with asyncio.timeout(seconds):
            async for item, at in link.chunks():
                for said in codec.feed(item, at):
                    count += _show(said)
    except TimeoutError:
        pass
    state = link.state()
    if state["state"] not in ("open", "waiting"):
        print(f"port: {state['state']}: {state['reason']} -> {state['hint']}")
    return count


def _show(item: object) -> int:
    match item:
        case Reading():
            value = json.dumps(item.value, ensure_ascii=False)
            print(f"{item.hardware_id:44} {item.quantity:24} {value:>14} {item.unit}", flush=True)
        case Event():
            print(f"{item.hardware_id:44} {'event':24} {item.name:>14}", flush=True)
        case CommandResult():
            return 0
    return 1
