"""What the words of plain-text devices mean in units of RFC 8428 and RFC 8798 (SenML): one table for all of them."""

from collections.abc import Mapping

QUANTITY_UNITS: Mapping[str, str] = {
    "temperature": "Cel",
    "temp": "Cel",
    "t": "Cel",
    "dew_point": "Cel",
    "humidity": "%RH",
    "hum": "%RH",
    "rh": "%RH",
    "h": "%RH",
    "moisture": "%",
    "pressure": "hPa",
    "voltage": "V",
    "volt": "V",
    "volts": "V",
    "current": "A",
    "amps": "A",
    "power": "W",
    "watts": "W",
    "energy": "kWh",
    "frequency": "Hz",
    "co2": "ppm",
    "tvoc": "ppb",
    "pm1": "ug/m3",
    "pm25": "ug/m3",
    "pm2_5": "ug/m3",
    "pm10": "ug/m3",
    "lux": "lx",
    "light": "lx",
    "illuminance": "lx",
    "rssi": "dBm",
    "distance": "m",
    "speed": "m/s",
    "ph": "pH",
}
"""A quantity's name in lower case -> the unit nearly everybody means by it."""

SUFFIX_UNITS: Mapping[str, str] = {
    "c": "Cel",
    "degc": "Cel",
    "rh": "%RH",
    "pct": "%",
    "percent": "%",
    "hpa": "hPa",
    "mbar": "hPa",
    "pa": "Pa",
    "v": "V",
    "mv": "mV",
    "a": "A",
    "ma": "mA",
    "w": "W",
    "kw": "kW",
    "wh": "Wh",
    "kwh": "kWh",
    "hz": "Hz",
    "ppm": "ppm",
    "lx": "lx",
    "lux": "lx",
    "dbm": "dBm",
    "mm": "mm",
    "cm": "cm",
    "m": "m",
    "s": "s",
    "ms": "ms",
    "kg": "kg",
    "g": "g",
    "l": "l",
    "deg": "deg",
}
"""The part after a name's last underscore -> its unit: `supply_mv`, `boiler_c`."""


def unit_of(quantity: str, configured: Mapping[str, str]) -> str:
    """Return the unit of a quantity: as configured, else by its name, else by its suffix, else none."""
    if quantity in configured:
        return configured[quantity]
    name = quantity.lower()
    if name in QUANTITY_UNITS:
        return QUANTITY_UNITS[name]
    stem, _, suffix = name.rpartition("_")
    if not stem:
        return ""
    return SUFFIX_UNITS.get(suffix) or QUANTITY_UNITS.get(suffix, "")
