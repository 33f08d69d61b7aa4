"""The bytes of the message log: what one commit noted of messages and their deliveries, as one blob.

A segment is a row of records, big-endian, one after the other:

    message   kind 1 · marks · lengths of topic, properties and payload · number of targets
              per target: sequence number · sid · packet id · flags · length of identifiers · identifiers
              wall clock (ms) and seconds left to live, if the message expires · topic · properties · payload
    finished  kind 2 · count · sequence numbers of deliveries that are over
    released  kind 3 · count · sequence numbers of deliveries whose PUBREC came

A delivery is named by its sequence number, given once: it keeps it when it is copied to a newer segment, so the
order of a session survives, and a note can never hit a later delivery with the same packet id.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.mqtt.message import Message

MESSAGE, FINISHED, RELEASED = 1, 2, 3
QOS, RETAIN, EXPIRES = 3, 4, 8
"""Marks of a message; the flags of a target are the broker's own."""

IS_RELEASED = 0x80
"""Flag of a target that was copied after its PUBREC; the broker's flags stay below it."""

HEAD = struct.Struct(">BBHIII")
TARGET = struct.Struct(">QQHBI")
ONE = struct.Struct(">BBHIIIQQHBI")  # both in one go: most messages have one receiver
EXPIRY = struct.Struct(">qd")
COUNT = struct.Struct(">BI")


class StoredTarget(NamedTuple):
    """One delivery."""

    sequence: int
    sid: int
    packet_id: int
    flags: int
    identifiers: bytes


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message as it lies in a segment; `body` is all that follows its targets."""

    marks: int
    lengths: tuple[int, int, int]
    targets: list[StoredTarget]
    body: bytes

    def encoded(self, targets: Sequence[StoredTarget]) -> bytes:
        """Return it again, for some of its targets."""
        parts = [HEAD.pack(MESSAGE, self.marks, *self.lengths, len(targets))]
        for sequence, sid, packet_id, flags, identifiers in targets:
            parts.append(TARGET.pack(sequence, sid, packet_id, flags, len(identifiers)))
            parts.append(identifiers)
        parts.append(self.body)
        return b"".join(parts)

    def message(self, now: float, wall_ms: int, raw: bytes | None = None) -> Message:
        """Return the message as the broker knows it; `raw` is its topic when the bytes leave it out.

        Its life went on while the process was down; a wall clock that was set back does not prolong it.
        """
        expires_at, at = None, 0
        if self.marks & EXPIRES:
            kept_ms, left_s = EXPIRY.unpack_from(self.body)
            expires_at = now + left_s - max(0, wall_ms - kept_ms) / 1000
            at = EXPIRY.size
        topic_end = at + self.lengths[0]
        properties_end = topic_end + self.lengths[1]
        raw = self.body[at:topic_end] if raw is None else raw
        return Message(
            raw.decode(),
            raw,
            self.body[properties_end:],
            self.marks & QOS,
            retain=bool(self.marks & RETAIN),
            properties=self.body[topic_end:properties_end],
            expires_at=expires_at,
        )


@dataclass(slots=True)
class Contents:
    """A segment, read."""

    messages: list[StoredMessage] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    released: list[int] = field(default_factory=list)


def marks_of(message: Message) -> int:
    """Return the marks of a message."""
    return (
        message.qos
        | (RETAIN if message.retain else 0)
        | (EXPIRES if message.expires_at is not None else 0)
    )


def encoded_alone(message: Message, now: float, wall_ms: int, *, with_topic: bool) -> bytes:
    """Return a message without targets: a retained one (its topic is the row's key) or a will."""
    raw = message.raw if with_topic else b""
    lengths = (len(raw), len(message.properties), len(message.payload))
    expiry = b""
    if message.expires_at is not None:
        expiry = EXPIRY.pack(wall_ms, message.expires_at - now)
    head = HEAD.pack(MESSAGE, marks_of(message), *lengths, 0)
    return b"".join((head, expiry, raw, message.properties, message.payload))


def encoded_notes(kind: int, sequences: Sequence[int]) -> bytes:
    """Return a record of `FINISHED` or `RELEASED` deliveries."""
    return COUNT.pack(kind, len(sequences)) + struct.pack(f">{len(sequences)}Q", *sequences)


def checksum(number: int, data: bytes) -> int:
    """Return the CRC-32 of a row; `number` is part of it, so that a row cannot stand for another."""
    return zlib.crc32(data, number & 0xFFFFFFFF)


def decode(data: bytes) -> Contents:
    """Return what a segment holds; raises ValueError when it is not one."""
    contents = Contents()
    at = 0
    try:
        while at < len(data):
            kind = data[at]
            if kind == MESSAGE:
                message, at = _message(data, at)
                contents.messages.append(message)
            elif kind in (FINISHED, RELEASED):
                _, count = COUNT.unpack_from(data, at)
                notes = contents.finished if kind == FINISHED else contents.released
                notes += struct.unpack_from(f">{count}Q", data, at + COUNT.size)
                at += COUNT.size + 8 * count
            else:
                raise ValueError(f"record of unknown kind {kind}")
    except struct.error as error:
        raise ValueError(f"cut short: {error}") from error
    return contents


def decode_alone(data: bytes) -> StoredMessage:
    """Return the one message of a row; raises ValueError when it is not one."""
    messages = decode(data).messages
    if len(messages) != 1:
        raise ValueError(f"{len(messages)} messages in place of one")
    return messages[0]


def _message(data: bytes, at: int) -> tuple[StoredMessage, int]:
    _, marks, topic, properties, payload, count = HEAD.unpack_from(data, at)
    at += HEAD.size
    targets: list[StoredTarget] = []
    for _ in range(count):
        sequence, sid, packet_id, flags, size = TARGET.unpack_from(data, at)
        at += TARGET.size
        targets.append(StoredTarget(sequence, sid, packet_id, flags, data[at : at + size]))
        at += size
    end = at + topic + properties + payload + (EXPIRY.size if marks & EXPIRES else 0)
    if end > len(data):
        raise ValueError("cut short within a message")
    return StoredMessage(marks, (topic, properties, payload), targets, data[at:end]), end
