"""Messages as Meshblu JSON: what a record looks like on the mesh (architecture, "What a reading looks like")."""

import json
from datetime import UTC, datetime
from typing import Any

from gateway.errors import MalformedFrameError
from gateway.model.command import CODES, CommandResult
from gateway.model.device import DeviceUuid
from gateway.model.message import Message, MessageKind

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # made once, not per message


def compact(value: object) -> bytes:
    """Return compact JSON as UTF-8: no spaces, no raw control characters, non-ASCII kept."""
    return _ENCODER.encode(value).encode()


def iso(wall_ms: int) -> str:
    """Return epoch milliseconds as ISO 8601 UTC with milliseconds."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def body_object(message: Message) -> dict[str, Any]:
    """Return a message's body as an object; raises MalformedFrameError (GW-1603) if it is none."""
    try:
        value = json.loads(message.body)
        if b"\\u" in message.body or not message.body.isascii():
            compact(value)  # half of a surrogate pair could not be sent on: UnicodeEncodeError
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise MalformedFrameError(
            f"message {message.id} of {message.sender} holds no JSON object",
            code="GW-1603",
            hint="the sender's software writes bad messages; it is dropped and counted",
        )
    return value


def rendered(
    message: Message, observed_ms: int | None, number: int | None = None
) -> dict[str, Any]:
    """Return the Meshblu message that a record means, without `fromUuid`.

    `observed_ms` is wall time (epoch ms) by the anchors of the record's boot, None where no anchor is known yet.
    """
    body = body_object(message)
    if message.kind in (MessageKind.READING, MessageKind.EVENT):
        metadata: dict[str, Any] = {"id": message.id}
        if message.kind is MessageKind.READING:
            metadata["units"] = body.get("units", {})
        metadata["quality"] = body.get("quality", "good")
        if observed_ms is not None:
            metadata["observedAt"] = iso(observed_ms)
        if number is not None:
            metadata["number"] = number
        payload = body.get("payload") if message.kind is MessageKind.READING else body.get("event")
        return {
            "devices": ["*"],
            "topic": message.kind.value,
            "payload": payload,
            "metadata": metadata,
        }
    return body


def result_message(result: CommandResult, to: DeviceUuid, respond_to: object) -> dict[str, Any]:
    """Return the answer to a command as a Meshblu message (topic rules, section 4)."""
    metadata: dict[str, Any] = {
        "code": CODES[result.outcome],
        "status": result.detail or result.outcome.value,
    }
    if respond_to is not None:
        metadata["to"] = respond_to
    return {"devices": [to], "topic": "response", "data": dict(result.data), "metadata": metadata}
