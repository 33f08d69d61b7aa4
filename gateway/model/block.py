"""Records and the sealed blocks that carry them: the bytes that are stored are the bytes that travel.

A record is one line: six fields between tabs, ended by a line feed.  Bodies are compact JSON, which never
holds a raw tab or line feed, so no escaping is needed and a parent splits instead of parsing.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import MalformedFrameError
from gateway.model.clock import Stamp
from gateway.model.device import DeviceUuid
from gateway.model.message import Lane, Message, MessageKind

SEAL_BYTES = 64 * 1024  # raw bytes after which a block is sealed (sync rules, section 2)
MOST_RAW_BYTES = 1 << 20  # what a receiver unpacks at most (section 6)
MOST_RECORDS = 4096
KINDS = {kind.value.encode(): kind for kind in MessageKind}
COMPRESSION_LEVEL = 1  # level 6 costs three times the time for a tenth less


@dataclass(frozen=True, slots=True)
class Record:
    """One message of a log; `number` is its place there, `device_number` counts per device and log."""

    number: int
    kind: MessageKind
    sender: DeviceUuid
    uptime_ms: int
    device_number: int
    origin: str  # "<node>:<log>:<n>" where it was first numbered; "" = here
    body: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive records of one log, lane and boot, sealed: its bytes never change (invariant I9)."""

    log: str  # 32 hex digits
    first: int
    last: int
    lane: Lane
    boot_id: str
    data: bytes  # zlib
    crc: int  # CRC-32 of `data`
    raw_bytes: int

    @property
    def key(self) -> tuple[str, int]:
        """Return what names the block on this node: (log, first number)."""
        return self.log, self.first


def line(message: Message, device_number: int, origin: str = "") -> bytes:
    """Return the record line of a message (its number is its place in the block)."""
    return (
        (
            f"{message.kind.value}\t{message.sender}\t{message.created.uptime_ms}\t{device_number}\t{origin}\t"
        ).encode()
        + message.body
        + b"\n"
    )


def seal(log: str, first: int, lane: Lane, boot_id: str, lines: Sequence[bytes]) -> Block:
    """Compress consecutive record lines into a block that starts at number `first`."""
    raw = b"".join(lines)
    data = zlib.compress(raw, COMPRESSION_LEVEL)
    return Block(
        log, first, first + len(lines) - 1, lane, boot_id, data, zlib.crc32(data), len(raw)
    )


def unpack(block: Block) -> list[Record]:
    """Return the records of a block, checked; raises MalformedFrameError (GW-1601) for anything odd."""
    if zlib.crc32(block.data) != block.crc:
        raise _malformed(block, "its checksum does not match")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(block.data, MOST_RAW_BYTES)
    except zlib.error as error:
        raise _malformed(block, str(error)) from error
    if not unpacker.eof or unpacker.unused_data:
        raise _malformed(block, f"it unpacks to more than {MOST_RAW_BYTES} bytes, or is cut short")
    lines = raw.split(b"\n")
    if lines.pop() or len(lines) != block.last - block.first + 1 or len(lines) > MOST_RECORDS:
        raise _malformed(block, "the number of its records is not what it says")
    try:
        return [_record(block.first + index, text) for index, text in enumerate(lines)]
    except (ValueError, KeyError) as error:
        raise _malformed(block, str(error)) from error


def messages(
    block: Block, node: DeviceUuid, records: Sequence[Record], source: str, *, late: bool
) -> list[Message]:
    """Return records of a block as messages for the router, under their stable ids."""
    return [
        Message(
            id=record.origin or f"{node}:{block.log}:{record.number}",
            kind=record.kind,
            sender=record.sender,
            body=record.body,
            created=Stamp(block.boot_id, record.uptime_ms),
            lane=block.lane,
            source=source,
            late=late,
        )
        for record in records
    ]


def _record(number: int, text: bytes) -> Record:
    kind, sender, uptime, device_number, origin, body = text.split(b"\t", 5)
    return Record(
        number,
        KINDS[kind],
        DeviceUuid(sender.decode("ascii")),
        int(uptime),
        int(device_number),
        origin.decode("ascii"),
        body,
    )


def _malformed(block: Block, why: str) -> MalformedFrameError:
    return MalformedFrameError(
        f"block {block.log[:8]}:{block.first}..{block.last} cannot be read: {why}",
        code="GW-1601",
        hint="it is set aside and the others go on; `gateway spool` counts it",
    )
