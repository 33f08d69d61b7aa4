"""Device documents as registers: which write is newer, and the digest by which both sides know that nothing moved."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from gateway.model.device import Document, normalised
from gateway.uplink.protocol.frames import Register, Registration

DOCUMENTS_PER_FRAME = 64
FRAME_BYTES = (
    128 * 1024
)  # of documents in one frame: half of the least packet that a parent takes unconfigured
DOCUMENT_BYTES = (
    32 * 1024
)  # a larger document is told in part: it must not cost its gateway the whole uplink
FIELD_BYTES = 1024  # what of it is told: the fields up to this size


def registration(document: Document) -> Registration:
    """Return a document with its counter: the time of its last write, which survives restarts."""
    meshblu = document.get("meshblu")
    text = meshblu.get("updatedAt") if isinstance(meshblu, dict) else None
    counter = 0
    if isinstance(text, str):
        try:
            counter = max(int(datetime.fromisoformat(text).timestamp() * 1000), 0)
        except ValueError:
            counter = 0
    return Registration(normalised(str(document["uuid"])), counter, _told(document))


def _told(document: Document) -> Document:
    """Return a document as the parent is told of it: whole, or its small fields where it is too large."""
    if _size(document) <= DOCUMENT_BYTES:
        return document
    told: Document = {}
    room = DOCUMENT_BYTES
    for key, value in document.items():
        size = _size({key: value})
        if size <= FIELD_BYTES and size <= room:
            told[key] = value
            room -= size
    return told


def _size(document: Document) -> int:
    return len(json.dumps(document))


def digest(devices: Sequence[Registration]) -> str:
    """Return what names this whole set."""
    lines = sorted(json.dumps(device.document, sort_keys=True) for device in devices)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def parts(devices: Sequence[Registration], name: str) -> list[Register]:
    """Return a whole set as frames; the last one carries its digest, also when there are no devices."""
    frames: list[list[Registration]] = [[]]
    room = FRAME_BYTES
    for device in devices:
        size = _size(device.document)
        if size > room or len(frames[-1]) == DOCUMENTS_PER_FRAME:
            frames.append([])
            room = FRAME_BYTES
        frames[-1].append(device)
        room -= size
    *others, last = frames
    return [*(Register(tuple(part)) for part in others), Register(tuple(last), name)]
