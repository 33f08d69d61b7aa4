"""What BlueZ's properties look like on D-Bus."""

from typing import Any

from dbus_fast import Variant

SIGNATURES = {
    "Adapter": "o",
    "Address": "s",
    "AddressType": "s",
    "Alias": "s",
    "Connected": "b",
    "Discovering": "b",
    "ManufacturerData": "a{qv}",
    "Name": "s",
    "Powered": "b",
    "RSSI": "n",
    "Roles": "as",
    "ServiceData": "a{sv}",
    "ServicesResolved": "b",
    "SupportedMonitorTypes": "as",
    "UUIDs": "as",
}
ACCUMULATED = ("ManufacturerData", "ServiceData")

Properties = dict[str, Any]


def _variant(name: str, value: Any) -> Variant:
    if name in ACCUMULATED:
        value = {key: Variant("ay", bytes(data)) for key, data in value.items()}
    return Variant(SIGNATURES[name], value)


def variants(properties: Properties) -> dict[str, Variant]:
    return {name: _variant(name, value) for name, value in properties.items()}


def new_device(address: str, adapter: str) -> Properties:
    return {
        "Adapter": adapter,
        "Address": address,
        "AddressType": "random",
        "Alias": address.replace(":", "-"),
        "Connected": False,
        "ServicesResolved": False,
        "UUIDs": [],
    }
