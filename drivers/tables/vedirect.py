"""Which VE.Direct label means which quantity (Victron, "VE.Direct Protocol", version 3.33, field list)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.model.reading import Scalar

Read = Callable[[str], Scalar | None]


@dataclass(frozen=True, slots=True)
class Label:
    """One row; `read` returns None where the device says that it does not know."""

    quantity: str
    unit: str
    read: Read
    is_identity: bool = False  # never changes while plugged in: told once


def _whole(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit():
        return None  # "---": no sensor fitted
    return int(text)


def _scaled(divisor: int, factor: int = 1) -> Read:
    def read(text: str) -> Scalar | None:
        number = _whole(text)
        return None if number is None else number * factor / divisor

    return read


def _count(text: str) -> Scalar | None:
    return _whole(text)


def _minutes(text: str) -> Scalar | None:
    number = _whole(text)
    return None if number == -1 else number  # -1: the battery is not being discharged


def _switch(text: str) -> Scalar | None:
    return {"ON": True, "OFF": False}.get(text.upper())


def _text(text: str) -> Scalar | None:
    return text if text and text.isprintable() and text.isascii() else None


def _bits(text: str) -> Scalar | None:
    digits = text.lower().removeprefix("0x")
    if not digits or set(digits) - set("0123456789abcdef"):
        return None
    return int(digits, 16)


def _named(names: Mapping[int, str]) -> Read:
    def read(text: str) -> Scalar | None:
        number = _whole(text)
        return None if number is None else names.get(number, f"code_{number}")

    return read


OPERATION = {
    0: "off",
    1: "low_power",
    2: "fault",
    3: "bulk",
    4: "absorption",
    5: "float",
    6: "storage",
    7: "equalize",
    9: "inverting",
    11: "power_supply",
    245: "starting_up",
    246: "repeated_absorption",
    247: "auto_equalize",
    248: "battery_safe",
    252: "external_control",
}
TRACKER = {0: "off", 1: "limited", 2: "active"}
INVERTER = {1: "charger_only", 2: "inverter", 4: "off", 5: "eco", 253: "hibernate"}

MILLI, CENTI, DECI = _scaled(1000), _scaled(100), _scaled(10)

LABELS: Mapping[bytes, Label] = {
    b"V": Label("voltage", "V", MILLI),
    b"V2": Label("voltage_2", "V", MILLI),
    b"V3": Label("voltage_3", "V", MILLI),
    b"VS": Label("starter_voltage", "V", MILLI),
    b"VM": Label("midpoint_voltage", "V", MILLI),
    b"DM": Label("midpoint_deviation", "%", DECI),
    b"VPV": Label("panel_voltage", "V", MILLI),
    b"PPV": Label("panel_power", "W", _count),
    b"I": Label("current", "A", MILLI),
    b"I2": Label("current_2", "A", MILLI),
    b"I3": Label("current_3", "A", MILLI),
    b"IL": Label("load_current", "A", MILLI),
    b"LOAD": Label("load", "", _switch),
    b"T": Label("temperature", "Cel", _count),
    b"P": Label("power", "W", _count),
    b"CE": Label("consumed_charge", "Ah", MILLI),
    b"SOC": Label("state_of_charge", "%EL", DECI),
    b"TTG": Label("time_to_go", "min", _minutes),
    b"Alarm": Label("alarm", "", _switch),
    b"Relay": Label("relay", "", _switch),
    b"AR": Label("alarm_reason", "", _count),
    b"OR": Label("off_reason", "", _bits),
    b"H1": Label("deepest_discharge", "Ah", MILLI),
    b"H2": Label("last_discharge", "Ah", MILLI),
    b"H3": Label("average_discharge", "Ah", MILLI),
    b"H4": Label("charge_cycles", "count", _count),
    b"H5": Label("full_discharges", "count", _count),
    b"H6": Label("total_charge_drawn", "Ah", MILLI),
    b"H7": Label("lowest_voltage", "V", MILLI),
    b"H8": Label("highest_voltage", "V", MILLI),
    b"H9": Label("time_since_full", "s", _count),
    b"H10": Label("automatic_synchronizations", "count", _count),
    b"H11": Label("low_voltage_alarms", "count", _count),
    b"H12": Label("high_voltage_alarms", "count", _count),
    b"H13": Label("low_starter_voltage_alarms", "count", _count),
    b"H14": Label("high_starter_voltage_alarms", "count", _count),
    b"H15": Label("lowest_starter_voltage", "V", MILLI),
    b"H16": Label("highest_starter_voltage", "V", MILLI),
    b"H17": Label("energy_discharged", "kWh", CENTI),
    b"H18": Label("energy_charged", "kWh", CENTI),
    b"H19": Label("yield_total", "kWh", CENTI),
    b"H20": Label("yield_today", "kWh", CENTI),
    b"H21": Label("highest_power_today", "W", _count),
    b"H22": Label("yield_yesterday", "kWh", CENTI),
    b"H23": Label("highest_power_yesterday", "W", _count),
    b"HSDS": Label("day_number", "count", _count),
    b"ERR": Label("error_code", "", _count),
    b"CS": Label("operation", "", _named(OPERATION)),
    b"MPPT": Label("tracker", "", _named(TRACKER)),
    b"MODE": Label("mode", "", _named(INVERTER)),
    b"MON": Label("monitor_mode", "", _count),
    b"WARN": Label("warning_reason", "", _count),
    b"AC_OUT_V": Label("ac_voltage", "V", CENTI),
    b"AC_OUT_I": Label("ac_current", "A", DECI),
    b"AC_OUT_S": Label("ac_apparent_power", "VA", _count),
    b"DC_IN_V": Label("dc_input_voltage", "V", CENTI),
    b"DC_IN_I": Label("dc_input_current", "A", DECI),
    b"DC_IN_P": Label("dc_input_power", "W", _count),
    b"PID": Label("product_id", "", _text, is_identity=True),
    b"FW": Label("firmware", "", _text, is_identity=True),
    b"FWE": Label("firmware", "", _text, is_identity=True),
    b"SER#": Label("serial_number", "", _text, is_identity=True),
    b"BMV": Label("model", "", _text, is_identity=True),
}
