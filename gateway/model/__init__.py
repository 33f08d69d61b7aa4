"""Plain frozen values and pure rules; imports `gateway.errors` and the standard library only.

Everything else speaks in these words.  No clock is read here, nothing is opened, nothing logs.
"""

from gateway.model.clock import Anchor, Clock, Stamp
from gateway.model.command import CODES, Command, CommandResult, Outcome
from gateway.model.device import AccessRecord, DeviceUuid, Document, Identity, is_uuid, normalised
from gateway.model.message import Hop, Lane, Message, MessageKind, Receipt, Refusal, Ticket
from gateway.model.ranges import RangeSet
from gateway.model.reading import Event, HardwareId, Quality, Reading, Scalar

__all__ = [
    "CODES",
    "AccessRecord",
    "Anchor",
    "Clock",
    "Command",
    "CommandResult",
    "DeviceUuid",
    "Document",
    "Event",
    "HardwareId",
    "Hop",
    "Identity",
    "Lane",
    "Message",
    "MessageKind",
    "Outcome",
    "Quality",
    "RangeSet",
    "Reading",
    "Receipt",
    "Refusal",
    "Scalar",
    "Stamp",
    "Ticket",
    "is_uuid",
    "normalised",
]
