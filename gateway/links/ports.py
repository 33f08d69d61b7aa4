"""Which serial ports there are, and by which name each is found again after a replug."""

import grp
import os
import pwd
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from serial.tools import list_ports

DEV = Path("/dev")
BY_ID = Path("/dev/serial/by-id")
BY_PATH = Path("/dev/serial/by-path")

PATTERNS: Mapping[str, tuple[str, ...]] = {
    "linux": ("ttyUSB*", "ttyACM*", "ttyAMA*", "ttyXRUSB*", "rfcomm*"),
    "darwin": ("cu.usb*", "cu.SLAB*", "cu.wchusb*"),
}
"""Device files that come and go with hardware; consoles and the 32 ttyS of a PC do not."""

NO_SERIAL_NUMBER = (
    "no serial number: this is the name of the USB socket, so leave it plugged in there"
)
TWINS = "no serial number: a second device of this kind would have the same name"
NO_STABLE_NAME = "no stable name: the number may change at replug"
NOT_IN_NAMES = re.compile("[^A-Za-z0-9_-]+")  # they become part of topics
FIRST_INTERFACE = ("-if00-port0", "-if00")


class UsbPort(Protocol):
    """What we read of pyserial's description of a port."""

    device: str
    description: str
    vid: int | None
    serial_number: str | None


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look; tests bring their own folders and descriptions."""

    by_id: Path = BY_ID
    by_path: Path = BY_PATH
    dev: Path = DEV
    patterns: tuple[str, ...] = field(default_factory=lambda: PATTERNS.get(sys.platform, ()))
    described: Callable[[], Iterable[UsbPort]] = list_ports.comports


@dataclass(frozen=True, slots=True)
class Links:
    """The names that udev made for one device file; "" for none."""

    by_id: str = ""
    by_path: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """One serial port; `stable_name` is what belongs into gateway.toml."""

    device: str  # /dev/ttyUSB0
    stable_name: str  # /dev/serial/by-id/usb-..., by-path, or the device itself
    description: str
    note: str = ""  # why the stable name is not as good as one would wish

    @property
    def suggestion(self) -> str:
        """Return the lines to add to gateway.toml, and the command that tries the port first."""
        return suggestion(self.stable_name)


def suggestion(stable_name: str) -> str:
    """Return what to do next with a port of this name."""
    name = NOT_IN_NAMES.sub("-", short_name(stable_name))[:64]
    return (
        f"# first look at what it says: gateway try {stable_name}\n"
        f'[[serial]]\nname = "{name}"\nport = "{stable_name}"\ndriver = "line-json"'
    )


def short_name(port: str) -> str:
    """Return a name for people: `usb-FTDI_FT232R_A1B2` for its first interface, `ttyUSB0` for a plain path."""
    name = Path(port).name
    for ending in FIRST_INTERFACE:
        if name.endswith(ending):
            return name.removesuffix(ending)
    return name


def origin_of(port: str) -> str:
    """Return the physical identity of a configured port: the stem of hardware ids, the same after every replug."""
    return f"serial:{short_name(port)}"


def snapshot(places: Places) -> dict[str, Links]:
    """Return device -> links of all ports now; a few directory reads, cheap enough to repeat."""
    by_id, by_path = _links(places.by_id), _links(places.by_path)
    devices = {str(path) for pattern in places.patterns for path in places.dev.glob(pattern)}
    return {
        device: Links(by_id.get(device, ""), by_path.get(device, ""))
        for device in devices | by_id.keys() | by_path.keys()
    }


def _links(folder: Path) -> dict[str, str]:
    """Return device -> link; a link whose device is gone is left out."""
    try:
        with os.scandir(folder) as entries:
            # Newer udev writes two by-path names a port (usb-0 and usbv2-0): the first in order wins.
            links = sorted((entry.path for entry in entries), reverse=True)
    except OSError:
        return {}
    return {os.path.realpath(link): link for link in links if Path(link).exists()}


def list_all(places: Places | None = None) -> list[Port]:
    """Return every port with the name by which it is found again, and its description."""
    where = places if places is not None else Places()
    described = {port.device: port for port in where.described()}
    links = dict.fromkeys(described, Links()) | snapshot(where)
    return [_port(device, links[device], described.get(device)) for device in sorted(links)]


def describe(device: str, links: Links, places: Places) -> Port:
    """Return one port of a snapshot with its description."""
    described = {port.device: port for port in places.described()}
    return _port(device, links, described.get(device))


def _port(device: str, links: Links, usb: UsbPort | None) -> Port:
    text = usb.description if usb is not None and usb.description not in {"", "n/a"} else ""
    name, note = _stable_name(device, links, usb)
    return Port(device, name, text or "serial port", note)


def _stable_name(device: str, links: Links, usb: UsbPort | None) -> tuple[str, str]:
    """Choose by-id, unless the device has no serial number: two equal ones would then share that name."""
    has_number = usb is None or usb.vid is None or bool(usb.serial_number)
    if links.by_id and (has_number or not links.by_path):
        return links.by_id, "" if has_number else TWINS
    if links.by_path:
        return links.by_path, NO_SERIAL_NUMBER
    return device, NO_STABLE_NAME


def user_and_group(path: str) -> tuple[str, str]:
    """Return who runs this program and the group that owns `path`, by name where they have one."""
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    try:
        gid = Path(path).stat().st_gid
    except OSError:
        return user, "dialout"
    try:
        return user, grp.getgrgid(gid).gr_name
    except KeyError:
        return user, str(gid)
