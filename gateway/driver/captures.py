"""Recorded input and what it means: the record format of `drivers/captures`, of tests and of bug reports.

A file is a JSON list of records:

    {"id": "greenhouse", "driver": "line-json", "hex": "7b2274…0a", "source": "…",          serial bytes
     "settings": {"columns": ["p", "t"]},                              keys of the driver, if it needs some
     "readings": {"/greenhouse-1 t": [21.53, "Cel"]}, "events": []}    "<hardware id after the origin> <quantity>"
    {"id": "room", "driver": "ruuvi", "address": "CB:…", "rssi": -60, "name": "", "service_data": {uuid: hex},
     "manufacturer_data": {"1177": "05…"}, "bindkey": "…", ...}                            one BLE advert
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.driver.contract import Advert, LinkKind
from gateway.errors import MalformedFrameError
from gateway.model.reading import Event, Reading, Scalar

PROTOCOL_DRIVERS: Mapping[str, str] = {
    "jsonlines": "line-json",
    "keyvalue": "line-fields",
    "csv": "line-fields",
    "vedirect-text": "vedirect",
    "bthome-ble": "bthome",
    "ruuvitag-ble": "ruuvi",
}
"""Names that other people's capture files use -> our drivers."""


@dataclass(frozen=True, slots=True)
class Capture:
    """One record: what was heard, and, where somebody worked it out, what it means."""

    id: str
    driver: str  # "" when the record does not say
    link: LinkKind
    item: bytes | Advert
    settings: Mapping[str, Any] = field(default_factory=dict)
    readings: Mapping[str, tuple[Scalar, str]] = field(default_factory=dict)
    events: Sequence[str] = ()
    source: str = ""


def parsed(record: object) -> Capture:
    """Return the record; raises MalformedFrameError (GW-1709) that says what is wrong with it."""
    if not isinstance(record, dict):
        raise _malformed("?", "a record is a JSON object")
    name = str(record.get("id", "?"))
    driver = str(record.get("driver", ""))
    for key in (record.get("protocol"), record.get("decoder")):
        driver = driver or PROTOCOL_DRIVERS.get(str(key), "")
    try:
        item = bytes.fromhex(record["hex"]) if "hex" in record else _advert(record)
        settings = dict(record.get("settings", {}))
        if "bindkey" in record:
            settings.setdefault("bindkeys", {record["address"]: record["bindkey"]})
        return Capture(
            name,
            driver,
            LinkKind.SERIAL if isinstance(item, bytes) else LinkKind.BLE_ADVERT,
            item,
            settings,
            {key: (value, unit) for key, (value, unit) in record.get("readings", {}).items()},
            tuple(record.get("events", ())),
            str(record.get("source", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _malformed(name, f"{type(error).__name__}: {error}") from error


def meaning(said: Sequence[object], origin: str) -> tuple[dict[str, tuple[Scalar, str]], list[str]]:
    """Return what a codec said in the words of a record: readings by `<id> <quantity>`, and event names."""
    readings: dict[str, tuple[Scalar, str]] = {}
    events = []
    for item in said:
        if isinstance(item, Reading):
            key = f"{item.hardware_id.removeprefix(origin)} {item.quantity}".strip()
            readings[key] = (item.value, item.unit)
        elif isinstance(item, Event):
            events.append(f"{item.hardware_id.removeprefix(origin)} {item.name}".strip())
    return readings, events


def _advert(record: Mapping[str, Any]) -> Advert:
    return Advert(
        str(record["address"]).upper(),
        int(record.get("rssi", -60)),
        {
            str(uuid).lower(): bytes.fromhex(data)
            for uuid, data in record.get("service_data", {}).items()
        },
        {
            int(key): bytes.fromhex(data)
            for key, data in record.get("manufacturer_data", {}).items()
        },
        str(record.get("name", "")),
    )


def _malformed(name: str, reason: str) -> MalformedFrameError:
    return MalformedFrameError(
        f"capture record {name!r} cannot be read: {reason}",
        code="GW-1709",
        hint='a record holds "hex" (serial bytes) or "address" with "service_data" or '
        '"manufacturer_data" (an advert); `drivers/captures` has examples',
    )
