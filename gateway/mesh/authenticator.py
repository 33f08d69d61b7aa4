"""Judges MQTT logins by device tokens: a uuid as user name, a token (or a child's invitation) as password."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError
from gateway.mesh.access import UNKNOWN, AccessCache
from gateway.mesh.core.auth import TokenHasher, matches
from gateway.mesh.work import Work
from gateway.model.device import DeviceUuid, is_uuid, normalised
from gateway.mqtt.ports import (
    JOINING,
    Authenticator,
    Credentials,
    Principal,
    PrincipalKind,
    Rejected,
)

BAD_CREDENTIALS = Rejected(4, "uuid or token is wrong")
BUSY = Rejected(3, "the registry is busy; try again")
MOST_LOGINS = 4_096  # remembered between CONNECT and the session's start
MOST_TOKEN_BYTES = 1_024
MOST_LOOKUPS = 2  # a record may be dropped from memory between its arrival and our asking

Done = Callable[[Principal | Rejected], None]


class Logins:
    """By which token each live session came, so that revoking the token ends it.

    A broker names a session's client id itself where the client sent none; name and peer are the same in
    CONNECT and session, and no two live connections share them.
    """

    def __init__(self) -> None:
        self._hashes: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def note(self, name: str, peer: str, token_hash: bytes) -> None:
        """Remember the token of a login that may become a session."""
        self._hashes[name, peer] = token_hash
        while len(self._hashes) > MOST_LOGINS:
            self._hashes.popitem(last=False)

    def claim(self, name: str, peer: str) -> bytes | None:
        """Return the token hash of a session that has begun; its holder keeps it from here on."""
        return self._hashes.pop((name, peer), None)


class DeviceAuthenticator:
    """Matches `mqtt.ports.Authenticator`; user names that are no uuid are passed to `other`.

    `is_child` says which device is a gateway accepted as a child; `redeem` whether a password is an invitation
    that makes it one.  Unknown devices are looked up in batches; only HMACs are computed here.
    """

    def __init__(
        self,
        access: AccessCache,
        hasher: TokenHasher,
        work: Work,
        *,
        is_child: Callable[[DeviceUuid], bool],
        redeem: Callable[[DeviceUuid, str], Awaitable[bool]],
        other: Authenticator,
    ) -> None:
        self.logins = Logins()
        self._access = access
        self.hasher = hasher
        self._work = work
        self._is_child = is_child
        self._redeem = redeem
        self._other = other

    def __call__(self, credentials: Credentials, done: Done) -> None:
        """Answer through `done`, at once where the device is in memory."""
        if credentials.username is None or not is_uuid(credentials.username):
            self._other(credentials, done)
        elif not credentials.password or len(credentials.password) > MOST_TOKEN_BYTES:
            done(BAD_CREDENTIALS)
        else:
            self._judge(normalised(credentials.username), credentials, done, MOST_LOOKUPS)

    def _judge(self, uuid: DeviceUuid, credentials: Credentials, done: Done, lookups: int) -> None:
        record = self._access.known(uuid)
        if record is UNKNOWN:
            again = lookups and self._access.want(
                (uuid,), lambda: self._judge(uuid, credentials, done, lookups - 1)
            )
            if not again:
                done(BUSY)
            return
        assert credentials.password is not None
        presented = self.hasher.hash(uuid, credentials.password)
        if record is not None and matches(presented, record.token_hashes):
            kind = PrincipalKind.CHILD if self._is_child(uuid) else PrincipalKind.DEVICE
            self.logins.note(uuid, credentials.peer, presented)
            done(Principal(kind, uuid))
        else:
            self._invited(uuid, credentials.password, done)

    def _invited(self, uuid: DeviceUuid, password: bytes, done: Done) -> None:
        try:
            code = password.decode("ascii")
        except UnicodeDecodeError:
            done(BAD_CREDENTIALS)
            return

        async def ask() -> None:
            try:
                is_invited = await self._redeem(uuid, code)
            except GatewayError:
                done(BUSY)
                return
            joining = Principal(PrincipalKind.CHILD, uuid, roles=frozenset({JOINING}))
            done(joining if is_invited else BAD_CREDENTIALS)

        if not self._work.submit(f"redeem:{uuid}", ask):
            done(BUSY)
