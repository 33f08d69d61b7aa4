"""The one module that imports bleak (16 MB, a third of a second): load it in a thread, and only where there is BLE."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakError,
)
from dbus_fast import DBusError, InvalidAddressError

from gateway.errors import TransientError
from gateway.links.link import LinkState

__all__ = ["FAULTS", "AdvertisementData", "BLEDevice", "Fault", "explain", "make_scanner"]

FAULTS = (BleakError, DBusError, InvalidAddressError, OSError, EOFError)
"""What scanning throws when BlueZ, the bus or the adapter is not as it should be (TimeoutError is an OSError)."""

FLAG_BYTES = (b"\x02", b"\x04", b"\x05", b"\x06", b"\x1a")
"""Values of the Flags field in connectable adverts: BlueZ wants a pattern for passive scanning, these let most pass."""

NO_SERVICE = frozenset(
    f"org.freedesktop.DBus.Error.{name}"
    for name in ("ServiceUnknown", "NameHasNoOwner", "AccessDenied", "NoReply", "Disconnected")
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no scan; `is_counted` when an adapter that is there and on refuses, so the ladder applies."""

    state: LinkState
    error: TransientError
    is_counted: bool = False


def make_scanner(
    mode: Literal["active", "passive"],
    adapter: str | None,
    on_advert: Callable[[BLEDevice, AdvertisementData], None],
) -> BleakScanner:
    """Return a scanner that reports repeated adverts too.

    bleak's own default (DuplicateData off) is silent while a sensor repeats its value, as if it were gone.
    """
    where: BlueZScannerArgs = {} if adapter is None else {"adapter": adapter}
    if mode == "passive":
        where["or_patterns"] = [
            OrPattern(0, AdvertisementDataType.FLAGS, flags) for flags in FLAG_BYTES
        ]
    else:
        where["filters"] = {"DuplicateData": True}
    return BleakScanner(on_advert, scanning_mode=mode, bluez=where)


def explain(error: BaseException) -> Fault:
    """Say what is wrong and what to do."""
    text = str(error) or type(error).__name__
    if isinstance(error, BleakBluetoothNotAvailableError):
        return _not_available(error.reason, text)
    if isinstance(error, BleakDBusError):
        if error.dbus_error == "org.bluez.Error.NotReady":
            return _powered_off()
        return _unreachable(text) if error.dbus_error in NO_SERVICE else _refused(text)
    if isinstance(error, TimeoutError):
        return _refused("BlueZ did not answer in time")
    if isinstance(error, BleakError):
        return _no_adapter(text) if "not found" in text else _refused(text)
    return _unreachable(text)


def _not_available(reason: BleakBluetoothNotAvailableReason, text: str) -> Fault:
    match reason:
        case BleakBluetoothNotAvailableReason.POWERED_OFF:
            return _powered_off()
        case (
            BleakBluetoothNotAvailableReason.NO_BLUETOOTH
            | BleakBluetoothNotAvailableReason.NO_BLE_CENTRAL_ROLE
        ):
            return _no_adapter(text)
        case _:
            return _unreachable(text)


def _no_adapter(text: str) -> Fault:
    hint = "plug a Bluetooth adapter in; nothing, if there are no BLE devices"
    return Fault(LinkState.MISSING, TransientError(text, code="GW-1212", hint=hint))


def _powered_off() -> Fault:
    hint = "run `rfkill unblock bluetooth`, then `bluetoothctl power on`"
    text = "the Bluetooth adapter is switched off"
    return Fault(LinkState.WAITING, TransientError(text, code="GW-1213", hint=hint))


def _unreachable(text: str) -> Fault:
    hint = "run `sudo systemctl start bluetooth`; install it with `sudo apt install bluez`"
    error = TransientError(f"BlueZ can't be reached: {text}", code="GW-1214", hint=hint)
    return Fault(LinkState.MISSING, error)


def _refused(text: str) -> Fault:
    hint = "wait, it is tried again; if it stays, `sudo systemctl restart bluetooth`"
    error = TransientError(f"scanning does not start: {text}", code="GW-1215", hint=hint)
    return Fault(LinkState.WAITING, error, is_counted=True)
