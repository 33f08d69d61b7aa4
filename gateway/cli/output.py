"""How commands print: aligned columns, spans of time and sizes for people, colour only on a terminal."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}


def coloured(text: str, colour: str) -> str:
    """Return a text in a colour, on a terminal that wants one."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{COLOURS[colour]}m{text}\033[0m"


def plain(text: str) -> str:
    """Return a text on one line; what would command the terminal (a client chose it) is spelled out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def print_json(value: Any) -> None:
    """Print a value as JSON for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
    """Print rows with their columns aligned."""
    if not rows:
        return
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print(indent + "  ".join([*cells, row[-1]]).rstrip())


def span(seconds: float | None) -> str:
    """Return a span of time in its two largest units: `3 h 12 min`."""
    if seconds is None:
        return "-"
    left = max(0, int(seconds))
    if left == 0:
        return "0 s"
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def size(count: float) -> str:
    """Return a number of bytes: `1.4 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def value_text(value: object) -> str:
    """Return a measured value without needless digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def with_unit(entry: dict[str, Any]) -> str:
    """Return a value with its unit as people write it (`Cel` of RFC 8428 is `°C`)."""
    unit = {"Cel": "°C", "%RH": "%"}.get(entry.get("unit") or "", entry.get("unit") or "")
    return f"{value_text(entry.get('value'))} {unit}".rstrip()
