"""What a parent accepts from a child, record by record: a closed set of refusals, pure."""

from collections.abc import Callable, Sequence

from gateway.model.block import Block, Record
from gateway.model.device import DeviceUuid, is_uuid
from gateway.model.message import MessageKind, Refusal
from gateway.uplink.protocol.fields import MOST_NUMBER

MOST_BODY_BYTES = 512 * 1024  # larger than any message that a mesh face accepts
MOST_ORIGIN = 160  # "<node>:<log>:<n>"

Speaker = Callable[[DeviceUuid], DeviceUuid | None]
"""device uuid -> the child that brought it"""


def unknown_senders(records: Sequence[Record], node: DeviceUuid, speaker: Speaker) -> set[str]:
    """Return senders of a block that no child has brought."""
    return {
        sender
        for sender in {record.sender for record in records}
        if sender != node and is_uuid(sender) and speaker(sender) is None
    }


def refusals(records: Sequence[Record], node: DeviceUuid, speaker: Speaker) -> dict[int, Refusal]:
    """Return which records are refused for good."""
    senders = {record.sender for record in records}
    mine = {sender: sender == node or speaker(sender) == node for sender in senders}
    named = {sender for sender in senders if is_uuid(sender)}
    refused: dict[int, Refusal] = {}
    for record in records:
        if record.sender not in named or not _is_sane(record):
            refused[record.number] = Refusal.MALFORMED
        elif not mine[record.sender]:
            refused[record.number] = Refusal.NOT_YOURS
    return refused


def placeholders(block: Block, node: DeviceUuid) -> list[Record]:
    """Return empty records for the numbers of a block that cannot be read, so that each can be refused by number."""
    return [
        Record(number, MessageKind.MESSAGE, node, 0, 0, "", b"{}")
        for number in range(block.first, block.last + 1)
    ]


def _is_sane(record: Record) -> bool:
    body = record.body
    return (
        2 <= len(body) <= MOST_BODY_BYTES
        and body[:1] == b"{"
        and body[-1:] == b"}"
        and 0 <= record.uptime_ms <= MOST_NUMBER
        and 0 <= record.device_number <= MOST_NUMBER
        and len(record.origin) <= MOST_ORIGIN
    )
