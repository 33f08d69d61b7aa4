"""The recorded input of `tests/captures/*.json`, parsed."""

import json
from pathlib import Path

from gateway.driver.captures import Capture, parsed

HERE = Path(__file__).parent
SHIPPED = HERE.parent.parent / "drivers" / "captures"


def captures(*drivers: str) -> list[Capture]:
    """Return every record of these drivers (of all when none is named)."""
    found = [
        parsed(record)
        for path in sorted(HERE.glob("*.json"))
        for record in json.loads(path.read_text("utf-8"))
    ]
    return [capture for capture in found if not drivers or capture.driver in drivers]
