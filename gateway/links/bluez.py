"""What the scanner asks of BlueZ beside scanning: is it there at all, and the power switch of an adapter."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUS_VARIABLE = "DBUS_SYSTEM_BUS_ADDRESS"
BUS_SOCKETS = (Path("/run/dbus/system_bus_socket"), Path("/var/run/dbus/system_bus_socket"))
ADAPTERS = Path("/sys/class/bluetooth")
SERVICE = "org.bluez"
ADAPTER = "org.bluez.Adapter1"
OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"


class BluezError(OSError):
    """BlueZ or the bus answered with an error."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One Bluetooth adapter as BlueZ sees it."""

    path: str  # /org/bluez/hci0
    address: str
    is_powered: bool

    @property
    def name(self) -> str:
        """Return its short name, such as hci0."""
        return self.path.rsplit("/", 1)[1]


def absence() -> str:
    """Return why there can be no BLE on this machine, "" when it is worth to load bleak and ask.

    bleak and D-Bus cost some 16 MB of memory: a machine without a bus or a radio need not pay.
    """
    if os.environ.get(BUS_VARIABLE):
        return (
            ""  # a bus of its own (a container's, a test's): this machine's /sys says nothing of it
        )
    if not any(socket.exists() for socket in BUS_SOCKETS):
        return "there is no system D-Bus"
    try:
        has_adapter = any(ADAPTERS.iterdir())
    except OSError:
        has_adapter = False
    return "" if has_adapter else "the kernel knows no Bluetooth adapter"


@asynccontextmanager
async def _bus() -> AsyncIterator[Any]:
    from dbus_fast import BusType  # noqa: PLC0415 - only where there is BLE
    from dbus_fast.aio import MessageBus  # noqa: PLC0415 - only where there is BLE

    bus = MessageBus(bus_type=BusType.SYSTEM)
    try:
        yield await bus.connect()
    finally:
        bus.disconnect()


async def _call(bus: Any, **fields: Any) -> list[Any]:
    from dbus_fast import Message, MessageType  # noqa: PLC0415 - only where there is BLE

    reply = await bus.call(Message(destination=SERVICE, **fields))
    if reply.message_type is MessageType.ERROR:
        raise BluezError(f"{reply.error_name}: {' '.join(map(str, reply.body))}")
    return list(reply.body)


async def adapters() -> list[Adapter]:
    """Return the adapters that BlueZ knows; raises OSError or EOFError when nobody answers."""
    async with _bus() as bus:
        (objects,) = await _call(bus, path="/", interface=OBJECTS, member="GetManagedObjects")
    return [
        Adapter(path, faces[ADAPTER]["Address"].value, bool(faces[ADAPTER]["Powered"].value))
        for path, faces in sorted(objects.items())
        if ADAPTER in faces
    ]


async def set_powered(path: str, *, powered: bool) -> None:
    """Switch an adapter on or off; raises OSError (BluezError where BlueZ refuses) or EOFError."""
    from dbus_fast import Variant  # noqa: PLC0415 - only where there is BLE

    async with _bus() as bus:
        await _call(
            bus,
            path=path,
            interface=PROPERTIES,
            member="Set",
            signature="ssv",
            body=[ADAPTER, "Powered", Variant("b", powered)],
        )
