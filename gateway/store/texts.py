"""Values as the text that columns hold: ranges as `1-5,9`, commands as JSON."""

import json
from typing import Any

from gateway.model import Command, DeviceUuid, RangeSet


def ranges_text(ranges: RangeSet) -> str:
    """Return ranges as text: `1-5,9`."""
    return ",".join(f"{a}-{b}" if a != b else str(a) for a, b in ranges.spans)


def ranges_of(text: str) -> RangeSet:
    """Return the ranges that a column holds."""
    if not text:
        return RangeSet()
    spans = (part.partition("-") for part in text.split(","))
    return RangeSet.of((int(first), int(last or first)) for first, _, last in spans)


def command_text(command: Command) -> str:
    """Return a command as JSON; its deadline stays apart, because clocks differ between nodes."""
    return json.dumps(
        {
            "id": command.id,
            "device": command.device,
            "actor": command.actor,
            "action": command.action,
            "params": dict(command.params),
            "deadline_ms": command.deadline_ms,
            "via": command.via,
            "respond_to": command.respond_to,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def command_of(text: str) -> Command:
    """Return the command that a column holds."""
    fields: dict[str, Any] = json.loads(text)
    fields["device"] = DeviceUuid(fields["device"])
    fields["actor"] = DeviceUuid(fields["actor"])
    return Command(**fields)
