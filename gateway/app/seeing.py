"""Messages of the mesh as the live page shows them: what children's devices say, and which devices they have."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.app.live import Live, Seen, Values
from gateway.model import DeviceUuid, Document, Message, MessageKind, Stamp


def values_of(message: Message) -> Values:
    """Return the values of a READING; none where its body is not what it should be."""
    try:
        body = json.loads(message.body)
        payload, units = body["payload"], body.get("units", {})
        return {name: (value, str(units.get(name, ""))) for name, value in payload.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def show_messages(
    live: Live, batch: Sequence[Message], observed_ms: Callable[[Stamp], int | None]
) -> None:
    """Show the readings of a batch that came from a child."""
    for message in batch:
        if message.kind is MessageKind.READING:
            live.reading(
                message.sender, values_of(message), observed_ms(message.created), late=message.late
            )


def show_document(live: Live, uuid: DeviceUuid, document: Document) -> None:
    """Show a device that a child brought."""
    live.know(
        Seen(
            uuid,
            slug=_text(document, "slug") or uuid[:8],
            name=_text(document, "name") or uuid[:8],
            driver=_text(document, "driver"),
            link="child",
            demo=document.get("demo") is True,
        )
    )


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
