"""What a Meshblu message says: to whom it goes, whether it asks a device to act, where loops end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model.device import AccessRecord, DeviceUuid, is_uuid, normalised
from gateway.model.reading import Scalar
from gateway.model.whitelist import EVERYBODY, may

MOST_RECIPIENTS = 1000  # of one message; each needs an access record in memory at once
MOST_HOPS = 16  # topic rules, section 4
LEGACY_TYPES = ("received", "sent", "broadcast", "config", "data")


@dataclass(frozen=True, slots=True)
class Addressees:
    """The receivers of a message: device uuids, each once in the order given, and whether `*` is among them."""

    devices: tuple[DeviceUuid, ...]
    is_broadcast: bool


def addressees(content: Mapping[str, Any]) -> Addressees | None:
    """Return whom a message is for, or None when it names nobody, or too many (422)."""
    named = content.get("devices")
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not names or len(names) > MOST_RECIPIENTS:
        return None
    texts = [name for name in names if isinstance(name, str)]
    if not texts:
        return None
    # A name that is no uuid may be an alias; without an alias server it is literal, and unknown.
    uuids = dict.fromkeys(
        normalised(text) if is_uuid(text) else DeviceUuid(text)
        for text in texts
        if text != EVERYBODY
    )
    return Addressees(tuple(uuids), EVERYBODY in texts)


def is_looping(content: Mapping[str, Any], sender: DeviceUuid) -> bool:
    """Return whether a message came past its sender before, or went too far."""
    forwarded = content.get("forwardedFor")
    return isinstance(forwarded, list) and (sender in forwarded or len(forwarded) >= MOST_HOPS)


@dataclass(frozen=True, slots=True)
class Request:
    """The part of a command that a message holds."""

    action: str
    params: Mapping[str, Scalar]
    respond_to: object


def requested(content: Mapping[str, Any]) -> Request | None:
    """Return what a message asks a device to do: `set` with a payload, or the connector form with a jobType."""
    metadata = content.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    job = metadata.get("jobType")
    if isinstance(job, str) and job and "code" not in metadata:  # a code marks an answer
        params = content.get("data")
        action = job
    elif content.get("topic") == "set":
        params = content.get("payload")
        action = "set"
    else:
        return None
    values = {} if params is None else params
    if not isinstance(values, Mapping) or not all(
        isinstance(value, float | int | bool | str) for value in values.values()
    ):
        return None
    return Request(action, dict(values), metadata.get("respondTo"))


def authorised_types(actor: DeviceUuid, record: AccessRecord | None) -> Sequence[str]:
    """Return the legacy channels of a device that `actor` may listen to (GetAuthorizedSubscriptionTypes)."""
    if may(actor, record, "configure.update"):
        return LEGACY_TYPES
    return ("broadcast",) if may(actor, record, "broadcast.sent") else ()


def may_send_as(auth: DeviceUuid, record: AccessRecord | None, to: Addressees) -> bool:
    """Return whether `auth` may send a message in the name of another device."""
    return (not to.devices or may(auth, record, "message.as")) and (
        not to.is_broadcast or may(auth, record, "broadcast.as")
    )
