"""Device documents as registers: which write is newer, and the digest by which both sides know that nothing moved."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from gateway.model.device import Document, normalised
from gateway.uplink.protocol.frames import Register, Registration

DOCUMENTS_PER_FRAME = 64


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
    return Registration(normalised(str(document["uuid"])), counter, document)


def digest(devices: Sequence[Registration]) -> str:
    """Return what names this whole set."""
    lines = sorted(json.dumps(device.document, sort_keys=True) for device in devices)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def parts(devices: Sequence[Registration], name: str) -> list[Register]:
    """Return a whole set as frames; the last one carries its digest, also when there are no devices."""
    cuts = range(0, max(len(devices), 1), DOCUMENTS_PER_FRAME)
    return [
        Register(
            tuple(devices[at : at + DOCUMENTS_PER_FRAME]),
            name if at + DOCUMENTS_PER_FRAME >= len(devices) else "",
        )
        for at in cuts
    ]
