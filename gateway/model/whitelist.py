"""Who may do what with a device: Meshblu's whitelists 1.0 and 2.0 as one table and two questions.

Every check is asked in 2.0 terms (`message.from`); legacy documents are translated first, by `LEGACY`.
"""

from collections.abc import Mapping
from typing import Any

from gateway.model.device import AccessRecord, Document

EVERYBODY = "*"
NEW_VERSION = "2.0.0"
LEGACY_VERSIONS = (None, "1.0.0")

LISTS = (
    "discover.view",
    "discover.as",
    "configure.update",
    "configure.as",
    "configure.sent",
    "configure.received",
    "message.from",
    "message.as",
    "message.sent",
    "message.received",
    "broadcast.sent",
    "broadcast.received",
    "broadcast.as",
)
"""The lists of version 2.0, each `meshblu.whitelists.<group>.<name>` = [{"uuid": ...}]."""

LEGACY: Mapping[str, tuple[str, ...]] = {
    "discoverWhitelist": ("discover.view", "configure.sent"),
    "discoverAsWhitelist": ("discover.as",),
    "configureWhitelist": (
        "configure.update",
        "broadcast.received",
        "message.sent",
        "message.received",
    ),
    "configureAsWhitelist": ("configure.as",),
    "sendWhitelist": ("message.from",),
    "sendAsWhitelist": ("message.as",),
    "receiveWhitelist": ("broadcast.sent",),
    "receiveAsWhitelist": ("message.received", "broadcast.received"),
    "owner": (
        "broadcast.received",
        "broadcast.sent",
        "configure.as",
        "configure.sent",
        "configure.received",
        "configure.update",
        "discover.as",
        "discover.view",
        "message.as",
        "message.from",
        "message.sent",
        "message.received",
    ),
}
"""What each legacy key grants; `broadcast.as` is granted by none of them."""

OWNED_DEFAULTS = ("discoverWhitelist", "configureWhitelist")
OPEN_DEFAULTS = ("discoverWhitelist", "configureWhitelist", "sendWhitelist", "receiveWhitelist")


def compiled(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Return a document's lists in 2.0 terms, without the empty ones, uuids in lower case.

    Entries of another shape grant nothing.  A version that is neither legacy nor 2.0.0 opens nothing:
    its rules are not known here.
    """
    meshblu = document.get("meshblu")
    version = meshblu.get("version") if isinstance(meshblu, Mapping) else None
    if version == NEW_VERSION:
        assert isinstance(meshblu, Mapping)
        return _explicit(meshblu.get("whitelists"))
    if version in LEGACY_VERSIONS:
        return _translated(document)
    return {}


def may(actor: str, record: AccessRecord | None, list_name: str) -> bool:
    """Return whether `actor` stands in a list of the device; a device always may with itself."""
    if record is None:
        return False
    if actor == record.uuid:
        return True
    granted = record.lists.get(list_name)
    return granted is not None and (EVERYBODY in granted or actor in granted)


def with_registration_defaults(document: Document) -> Document:
    """Return a document with the lists that registering adds to a legacy one (specification 2.2).

    An owner is put into discover and configure, which are otherwise open; send and receive are open.
    A version 2.0.0 document is returned as it came: closed to all but itself.
    """
    meshblu = document.get("meshblu")
    if isinstance(meshblu, Mapping) and meshblu.get("version") == NEW_VERSION:
        return dict(document)
    result = dict(document)
    owner = document.get("owner")
    if isinstance(owner, str):
        for name in OWNED_DEFAULTS:
            listed = result.get(name)
            entries = list(listed) if isinstance(listed, list) else []
            if EVERYBODY not in entries and owner not in entries:
                entries.append(owner)
            result[name] = entries
    for name in OPEN_DEFAULTS:
        if result.get(name) is None:
            result[name] = [EVERYBODY]
    return result


def _explicit(whitelists: object) -> dict[str, frozenset[str]]:
    lists = {}
    for name in LISTS:
        group, entry = name.split(".")
        within = whitelists.get(group) if isinstance(whitelists, Mapping) else None
        entries = within.get(entry) if isinstance(within, Mapping) else None
        if isinstance(entries, list):
            uuids = (item.get("uuid") for item in entries if isinstance(item, Mapping))
            found = frozenset(uuid.lower() for uuid in uuids if isinstance(uuid, str))
            if found:
                lists[name] = found
    return lists


def _translated(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    lists: dict[str, set[str]] = {}
    for key, grants in LEGACY.items():
        value = document.get(key)
        entries = [value] if key == "owner" else value
        if not isinstance(entries, list):
            continue
        uuids = {entry.lower() for entry in entries if isinstance(entry, str)}
        if key == "owner":
            uuids.discard(EVERYBODY)  # an owner is one device, never everybody
        for grant in grants if uuids else ():
            lists.setdefault(grant, set()).update(uuids)
    return {name: frozenset(uuids) for name, uuids in lists.items()}
