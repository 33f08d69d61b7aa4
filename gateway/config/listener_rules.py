"""What is wrong with a listener that no single key shows; a listener with a fault is not opened."""

import ipaddress
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from gateway.config.listener_tables import (
    Behind,
    Entry,
    ListenerSettings,
    Pages,
    UnixListener,
    WebSocketListener,
)
from gateway.config.problems import Complaint, Loc
from gateway.config.schema import MqttSettings, Settings
from gateway.model.device import is_uuid

LOOPBACKS = ("127.", "::1", "localhost")
TABLES = ("tcp", "tls", "websocket", "unix")
"""The listeners that have a table of their own, by its name."""
TRUST = frozenset({("mqtt", "tls", "client_ca_file"), ("mqtt", "tls", "revoked_certificates")})
"""Keys that say whose certificates count at every listener, not at [mqtt.tls] alone."""
FINGERPRINT = re.compile(r"(?:[0-9a-fA-F]{2}:?){32}")

Fault = tuple[str, Complaint]


def listener_faults(
    mqtt: MqttSettings, roles: Collection[str]
) -> Iterator[tuple[Loc, str, Complaint]]:
    """Yield (place, item, fault) of each listener's faults; `roles` are the names that exist."""
    for name in TABLES:
        for at, fault in _faults(getattr(mqtt, name), roles):
            yield ("mqtt", name, at), f"mqtt.{name}", fault
    if (mqtt.tls.certificate_file is None) != (mqtt.tls.key_file is None):
        fault = Complaint(
            "GW-1004", "one of the two", "`certificate_file` and `key_file`, or neither"
        )
        yield ("mqtt", "tls"), "mqtt.tls", fault
    for print_ in mqtt.tls.revoked_certificates:
        if not FINGERPRINT.fullmatch(print_):
            fault = Complaint("GW-1008", f"{print_!r}", "64 hex digits: the SHA-256 of one")
            yield ("mqtt", "tls", "revoked_certificates"), "mqtt.tls", fault
    for index, listener in enumerate(mqtt.listeners):
        what = f"listener {listener.name}"
        for at, fault in (*_faults(listener, roles), *_own_faults(listener)):
            yield ("mqtt", "listeners", index, at), what, fault


def without_faulty_listeners(
    settings: Settings, faults: Sequence[Loc], dropped: Sequence[Loc] = ()
) -> Settings:
    """Return the settings with every listener that has a fault switched off; `dropped` are keys left out before."""
    mqtt = settings.mqtt
    is_trust_faulty = any(loc[:3] in TRUST for loc in (*faults, *dropped))
    off = {str(loc[1]) for loc in faults if loc[:1] == ("mqtt",) and loc[1] in TABLES}
    bad = {loc[2] for loc in faults if loc[:2] == ("mqtt", "listeners")}
    if is_trust_faulty and mqtt.websocket.client_certificates != "off":
        off.add("websocket")
    if is_trust_faulty:
        asking = enumerate(mqtt.listeners)
        bad |= {index for index, each in asking if each.client_certificates != "off"}
    update: dict[str, Any] = {
        name: getattr(mqtt, name).model_copy(update={"enabled": False}) for name in off
    }
    update["listeners"] = tuple(
        listener for index, listener in enumerate(mqtt.listeners) if index not in bad
    )
    return settings.model_copy(update={"mqtt": mqtt.model_copy(update=update)})


def _faults(table: object, roles: Collection[str]) -> Iterator[Fault]:
    if isinstance(table, Entry):
        yield from _entry_faults(table, roles)
    if isinstance(table, Behind):
        yield from _proxy_faults(table)
    if isinstance(table, Pages):
        yield from _page_faults(table)
    if isinstance(table, UnixListener):
        yield from _unix_faults(table)
    if isinstance(table, WebSocketListener | ListenerSettings):
        yield from _certificate_faults(table)


def _entry_faults(entry: Entry, known: Collection[str]) -> Iterator[Fault]:
    for at, roles in (("roles", entry.roles or ()), ("anonymous_roles", entry.anonymous_roles)):
        for role in roles:
            if role not in known:
                expected = "one of " + ", ".join(sorted(known))
                yield at, Complaint("GW-1013", f"the unknown role {role!r}", expected)


def _proxy_faults(behind: Behind) -> Iterator[Fault]:
    for network in behind.trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            expected = "addresses or networks, such as 10.0.0.5 or 10.0.0.0/24"
            yield "trusted_proxies", Complaint("GW-1008", f"{network!r}", expected)
    if behind.proxy_protocol and not behind.trusted_proxies:
        yield "trusted_proxies", Complaint("GW-1004", "nobody", "the address of the proxy")


def _page_faults(pages: Pages) -> Iterator[Fault]:
    for path in pages.paths:
        if not path.startswith("/") or "?" in path:
            yield "paths", Complaint("GW-1008", f"{path!r}", "paths that begin with `/`")
    for origin in pages.allowed_origins:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            expected = "origins as browsers write them: https://example.org, without a path"
            yield "allowed_origins", Complaint("GW-1008", f"{origin!r}", expected)


def _unix_faults(listener: UnixListener) -> Iterator[Fault]:
    for uid, name in listener.users.items():
        if not (uid.isascii() and uid.isdecimal()):
            yield "users", Complaint("GW-1008", f"{uid!r}", "numbers of users, as `id -u` says")
        if is_uuid(name):
            yield "users", Complaint("GW-1008", f"{name!r}", "names of users; devices use tokens")


def _own_faults(listener: ListenerSettings) -> Iterator[Fault]:
    if listener.name in TABLES:
        yield "name", Complaint("GW-1011", f"the name of [mqtt.{listener.name}]", "another name")


def _certificate_faults(listener: WebSocketListener | ListenerSettings) -> Iterator[Fault]:
    asked = listener.client_certificates
    if asked != "off" and not listener.tls and not listener.proxy_protocol:
        expected = "`tls = true`, or a proxy that tells"
        yield "client_certificates", Complaint("GW-1008", f"{asked!r} without TLS", expected)
