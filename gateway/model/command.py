"""A request that a device act, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.device import DeviceUuid
from gateway.model.reading import Scalar


class Outcome(StrEnum):
    """How a command ended; the code in the answer's metadata stands beside it in `CODES`."""

    DONE = "done"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    UNKNOWN = "unknown"
    EXPIRED = "expired"


CODES: Mapping[Outcome, int] = {
    Outcome.DONE: 200,
    Outcome.REFUSED: 422,
    Outcome.TIMED_OUT: 504,
    Outcome.UNKNOWN: 599,
    Outcome.EXPIRED: 410,
}


@dataclass(frozen=True, slots=True)
class Command:
    """Ask `device` to do `action`; `deadline_ms` is this machine's uptime (see model/clock.py)."""

    id: str
    device: DeviceUuid
    actor: DeviceUuid  # on whose behalf: judged by message.from of the device
    action: str  # "set", or the connector form's jobType
    params: Mapping[str, Scalar]
    deadline_ms: int
    via: str | None = None  # "user:<name>" when a local user wrote devices/<slug>/set
    respond_to: object = None  # metadata.respondTo, echoed as metadata.to


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The answer to a command; `data` is what the device said, if it said anything."""

    command_id: str
    outcome: Outcome
    detail: str = ""
    data: Mapping[str, Scalar] = field(default_factory=dict)
