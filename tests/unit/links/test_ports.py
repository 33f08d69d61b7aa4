"""Names of ports: by serial number where there is one, by socket where there is none."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from gateway.links.ports import (
    Links,
    Places,
    describe,
    list_all,
    origin_of,
    short_name,
    snapshot,
    suggestion,
    user_and_group,
)


@dataclass
class Usb:
    device: str
    description: str = "FT232R USB UART"
    vid: int | None = 0x0403
    serial_number: str | None = "A1B2"


def places(folder: Path, *usb: Usb) -> Places:
    by_id, by_path, dev = folder / "by-id", folder / "by-path", folder / "dev"
    for one in (by_id, by_path, dev):
        one.mkdir(exist_ok=True)
    return Places(by_id, by_path, dev, ("ttyUSB*",), lambda: list(usb))


def plug(where: Places, number: int, *, by_id: str = "", by_path: str = "") -> str:
    device = where.dev / f"ttyUSB{number}"
    device.touch()
    if by_id:
        (where.by_id / by_id).symlink_to(device)
    if by_path:
        (where.by_path / by_path).symlink_to(device)
    return str(device)


def test_a_port_with_a_serial_number_is_known_by_it(tmp_path: Path) -> None:
    where = places(tmp_path)
    device = plug(where, 0, by_id="usb-FTDI_X_A1B2-if00-port0", by_path="pci-usb-0:1")
    where = places(tmp_path, Usb(device))
    (port,) = list_all(where)
    assert port.stable_name == str(where.by_id / "usb-FTDI_X_A1B2-if00-port0")
    assert (port.device, port.description, port.note) == (device, "FT232R USB UART", "")


def test_a_port_without_a_serial_number_is_known_by_its_socket(tmp_path: Path) -> None:
    where = places(tmp_path)
    device = plug(where, 0, by_id="usb-1a86_USB_Serial-if00-port0", by_path="pci-usb-0:1.2")
    port = describe(
        device, snapshot(where)[device], places(tmp_path, Usb(device, "CH340", 0x1A86, None))
    )
    assert port.stable_name == str(where.by_path / "pci-usb-0:1.2")
    assert "socket" in port.note


def test_a_port_without_any_link_is_known_by_its_device_with_a_warning(tmp_path: Path) -> None:
    where = places(tmp_path)
    device = plug(where, 3)
    port = describe(device, Links(), where)
    assert port.stable_name == device
    assert "may change" in port.note


def test_a_link_whose_device_is_gone_is_no_port(tmp_path: Path) -> None:
    where = places(tmp_path)
    (where.by_id / "usb-gone").symlink_to(tmp_path / "dev" / "ttyUSB9")
    assert snapshot(where) == {}


def test_folders_that_do_not_exist_hold_no_ports(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert snapshot(Places(nowhere, nowhere, nowhere, ("ttyUSB*",), list)) == {}


def test_the_origin_is_the_same_for_link_and_bare_name_and_keeps_interfaces_apart() -> None:
    name = "usb-FTDI_FT232R_A1B2"
    assert origin_of(f"/dev/serial/by-id/{name}-if00-port0") == f"serial:{name}"
    assert origin_of(f"{name}-if00") == f"serial:{name}"
    assert origin_of(f"{name}-if01-port0") == f"serial:{name}-if01-port0"
    assert short_name("/dev/ttyUSB0") == "ttyUSB0"


def test_the_suggestion_is_a_table_for_gateway_toml() -> None:
    name = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0"
    text = suggestion(name)
    (table,) = tomllib.loads(text)["serial"]
    assert table["port"] == name
    assert ":" not in table["name"]
    assert f"gateway try {name}" in text


def test_the_owner_of_a_file_has_a_name(tmp_path: Path) -> None:
    user, group = user_and_group(str(tmp_path))
    assert user
    assert group
