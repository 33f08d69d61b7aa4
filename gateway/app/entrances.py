"""Who somebody is by the way they came in: a certificate, a user id, a listener's rules, before any password.

A certificate or a Unix user id is proof of one identity: that of a device or user which exists already.  It counts
where the client names nobody or just that identity; whoever names somebody else needs the other's password.  What a
user's roles open is narrowed to what the listener allows; the broker then refuses kinds and roles that may not enter.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.broker.entrance import Entrance
from gateway.config.listener_tables import Entry
from gateway.config.roles import grants_of
from gateway.config.schema import MqttSettings
from gateway.mesh.access import UNKNOWN, AccessCache
from gateway.model.device import DeviceUuid, is_uuid, normalised
from gateway.mqtt.ports import (
    Authenticator,
    Credentials,
    Grant,
    PeerCertificate,
    Principal,
    PrincipalKind,
    Rejected,
)

UUID_URN = "urn:uuid:"
OPERATOR_ROLE = "admin"
MOST_LOOKUPS = 2  # a record may be dropped from memory between its arrival and our asking

UNKNOWN_HOLDER = Rejected(5, "the certificate names nobody that exists here")
REVOKED = Rejected(5, "the certificate was revoked")
BUSY = Rejected(3, "the registry is busy; try again")

Done = Callable[[Principal | Rejected], None]


@dataclass(frozen=True, slots=True)
class Directory:
    """Whom the proofs may name."""

    user: Callable[[str], Principal | None]
    access: AccessCache
    is_child: Callable[[DeviceUuid], bool]


class EntranceAuthenticator:
    """Matches `mqtt.ports.Authenticator`; names with passwords are passed to `other`."""

    def __init__(self, other: Authenticator, directory: Directory, mqtt: MqttSettings) -> None:
        self.entrances = entrances_of(mqtt)
        self._other = other
        self._directory = directory
        self._roles = mqtt.roles
        self._uids = _uids_of(mqtt)
        revoked = mqtt.tls.revoked_certificates
        self._revoked = frozenset(print_.replace(":", "").lower() for print_ in revoked)

    def __call__(self, credentials: Credentials, done: Done) -> None:
        """Judge a CONNECT by its proofs, else by its password."""
        entrance = self.entrances.get(credentials.listener, Entrance(credentials.listener))

        def told(answer: Principal | Rejected) -> None:
            done(self._narrowed(answer, entrance))

        certificate = credentials.certificate
        if certificate is not None and certificate.fingerprint in self._revoked:
            done(REVOKED)
        elif (user := self._by_uid(credentials)) is not None:
            told(user)
        elif certificate is None or not self._by_certificate(certificate, credentials, told):
            if not credentials.username and entrance.anonymous is not None:
                done(entrance.anonymous)
            else:
                self._other(credentials, told)

    def find(self, name: str) -> Principal | None:
        """Return who a name is that no user bears: an operator, or a listener's nameless clients."""
        own = [principal for principal in self._uids.values() if isinstance(principal, Principal)]
        own += [e.anonymous for e in self.entrances.values() if e.anonymous is not None]
        return next((principal for principal in own if principal.name == name), None)

    def _by_uid(self, credentials: Credentials) -> Principal | None:
        found = None if credentials.uid is None else self._uids.get(credentials.uid)
        principal = self._directory.user(found) if isinstance(found, str) else found
        if principal is not None and credentials.username in (None, "", principal.name):
            return principal
        return None

    def _by_certificate(
        self, certificate: PeerCertificate, credentials: Credentials, told: Done
    ) -> bool:
        """Judge by certificate; False where the client claims to be somebody else than its holder."""
        name = credentials.username or ""
        uuids = device_uuids(certificate)
        if len(uuids) == 1:
            (uuid,) = uuids
            if name and normalised(name) != uuid:
                return False
            self._device(uuid, told, MOST_LOOKUPS)
            return True
        holder = "" if uuids else certificate.common_name
        if name and name != holder:
            return False
        user = self._directory.user(holder) if holder else None
        if user is None and not name and credentials.password is None:
            told(UNKNOWN_HOLDER)
            return True
        if user is None:
            return False
        told(user)
        return True

    def _device(self, uuid: DeviceUuid, told: Done, lookups: int) -> None:
        access = self._directory.access
        record = access.known(uuid)
        if record is UNKNOWN:
            again = lookups and access.want((uuid,), lambda: self._device(uuid, told, lookups - 1))
            if not again:
                told(BUSY)
        elif record is None:
            told(UNKNOWN_HOLDER)
        else:
            is_child = self._directory.is_child(uuid)
            kind = PrincipalKind.CHILD if is_child else PrincipalKind.DEVICE
            told(Principal(kind, uuid))

    def _narrowed(self, answer: Principal | Rejected, entrance: Entrance) -> Principal | Rejected:
        if (
            entrance.roles is None
            or isinstance(answer, Rejected)
            or answer.kind is not PrincipalKind.USER
        ):
            return answer
        roles = answer.roles & entrance.roles
        return replace(answer, roles=roles, grants=grants_of(sorted(roles), self._roles))


def device_uuids(certificate: PeerCertificate) -> frozenset[DeviceUuid]:
    """Return the devices that a certificate names: its common name, URI and DNS names that are uuids."""
    names = (certificate.common_name, *certificate.names)
    bare = (name.lower().removeprefix(UUID_URN) for name in names)
    return frozenset(normalised(name) for name in bare if is_uuid(name))


def entrances_of(mqtt: MqttSettings) -> dict[str, Entrance]:
    """Return what every listener of the configuration lets in, by its name."""
    tables: dict[str, Entry] = {
        "tcp": mqtt.tcp,
        "tls": mqtt.tls,
        "websocket": mqtt.websocket,
        "unix": mqtt.unix,
        **{listener.name: listener for listener in mqtt.listeners},
    }
    return {
        name: Entrance(
            name,
            kinds=frozenset(PrincipalKind(kind) for kind in table.kinds),
            roles=None if table.roles is None else frozenset(table.roles),
            anonymous=_anonymous(
                name, table.anonymous_roles, grants_of(table.anonymous_roles, mqtt.roles)
            ),
            most_connections=table.most_connections,
            most_packet_bytes=table.most_packet_bytes,
        )
        for name, table in tables.items()
    }


def _anonymous(listener: str, roles: Iterable[str], grants: tuple[Grant, ...]) -> Principal | None:
    held = frozenset(roles)
    # No user's name has a colon in front of a listener's by chance, and sessions of two listeners stay apart.
    return Principal(PrincipalKind.USER, f"anonymous:{listener}", grants, held) if held else None


def _uids_of(mqtt: MqttSettings) -> Mapping[int, Principal | str]:
    """Return who each user id is: an operator, or a user by name."""
    found: dict[int, Principal | str] = {int(uid): name for uid, name in mqtt.unix.users.items()}
    if mqtt.unix.operators:
        grants = grants_of((OPERATOR_ROLE,), mqtt.roles)
        for uid in {0, os.getuid()}:
            found.setdefault(
                uid,
                Principal(PrincipalKind.USER, f"unix:{uid}", grants, frozenset({OPERATOR_ROLE})),
            )
    return found
