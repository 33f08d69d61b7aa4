"""The mesh and the broker of a node, joined: logins, ways out of the router, error frames, access records."""

import logging
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.app.accounts import Accounts
from gateway.app.bans import Bans
from gateway.app.client_file import DEMO_USER, password_file
from gateway.app.entrances import Directory, EntranceAuthenticator
from gateway.app.logins import LocalUsers, User, principal_of, user_from_file
from gateway.app.parking import parking
from gateway.app.peering import bridge_principal
from gateway.broker.access_change import user_changed
from gateway.broker.limits import Limits
from gateway.broker.server import Broker
from gateway.config.roles import grants_of
from gateway.errors import MalformedFrameError
from gateway.mesh.access import UNKNOWN
from gateway.mesh.build import Gatekeeping, Mesh
from gateway.mesh.mqtt import MqttFace
from gateway.mesh.registration import RegistrationMode
from gateway.mesh.router import Router, Ways
from gateway.model import Command, DeviceUuid, Message
from gateway.model.device import is_uuid, normalised
from gateway.model.whitelist import may
from gateway.mqtt.journal import SessionKey
from gateway.mqtt.ports import Principal, PrincipalKind, Publish, Session
from gateway.store.users import SqliteUsers

if TYPE_CHECKING:
    from gateway.app.parts import Parts

log = logging.getLogger(__name__)

MOST_BODY_BYTES = (
    128 * 1024
)  # a block with it fits the packets that a parent takes by default (256 KiB)
DEMO_ROLES = ("home", "monitor")


class Meshing:
    """The mesh, its router, and the broker that carries both."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        settings = parts.settings
        self.users = LocalUsers(self._users())
        self.mesh = Mesh(
            parts.stores.devices,
            parts.stores.tokens,
            clock=parts.clock,
            ways=Ways(
                spool=self._spool,
                dispatch=self._dispatch,
                send_down=self._send_down,
                is_brought=self._is_brought,
                child_of=self._child_of,
                observed_ms=parts.times.observed_ms,
            ),
            gatekeeping=Gatekeeping(
                RegistrationMode(settings.mesh.registration),
                parts.who.pepper,
                is_child=self._is_child,
                redeem=self._redeem,
                other=self.users,
            ),
        )
        self.entrances = EntranceAuthenticator(
            self.mesh.authenticator,
            Directory(self.users.find, self.mesh.access, self._is_child),
            settings.mqtt,
        )
        self.bans = Bans(self.entrances)
        limits = settings.mqtt.limits
        self.broker = Broker(
            self.bans,
            limits=Limits(
                connections=limits.most_connections,
                packet_bytes=limits.most_packet_bytes,
                connect_s=limits.connect_timeout_s,
                unsent_bytes=limits.most_queued_bytes,
                keep_alive_s=limits.most_keep_alive_s,
                queued=limits.most_waiting_messages,
                queued_bytes=limits.most_waiting_bytes,
                session_expiry_s=limits.most_session_s,
                messages_per_s=limits.most_messages_per_s,
                bytes_per_s=limits.most_bytes_per_s,
            ),
            on_refused=self._refused,
            version=__version__,
            journal=parts.stores.journal,
        )
        self.face: MqttFace | None = None
        self.accounts = Accounts(
            SqliteUsers(parts.stores.state),
            settings.mqtt,
            self._fixed_users(),
            now_ms=parts.clock.wall_ms,
            changed=self._user_changed,
        )

    @property
    def router(self) -> Router:
        """Return the one way in."""
        return self.mesh.router

    async def open(self) -> None:
        """Claim the mesh's topics, take the users that are kept; acknowledgements leave as the spool settles."""
        self.face = self.mesh.serve_mqtt(self.broker)
        self._parts.stores.spool.on_settled(self.broker.settled)
        self._parts.stores.spool.on_settled(self.mesh.settling.settled)
        if self.mesh.registration.mode is RegistrationMode.OPEN:
            log.warning("anybody may register devices here: mesh.registration is open")
        await self.accounts.load()

    async def restore(self) -> None:
        """Give the broker what the journal kept; sessions of identities that are no more are dropped."""
        kept = await self._parts.stores.journal.load()
        uuids = {normalised(s.key.identity) for s in kept.sessions if is_uuid(s.key.identity)}
        known = await self._parts.stores.devices.access_records(sorted(uuids))

        def principal(key: SessionKey) -> Principal | None:
            if key.kind is PrincipalKind.USER:
                found = self.users.find(key.identity) or self.entrances.find(key.identity)
                return found or bridge_principal(self._parts.loaded, key)
            uuid = normalised(key.identity)
            kind = PrincipalKind.CHILD if self._is_child(uuid) else PrincipalKind.DEVICE
            return Principal(kind, uuid) if uuid in known else None

        self.broker.restore(kept, principal)

    def may(self, actor: DeviceUuid, device: DeviceUuid, list_name: str) -> bool:
        """Return whether a list of a device admits an actor; an unread record denies."""
        record = self.mesh.access.known(device)
        return record is not UNKNOWN and may(actor, record, list_name)

    def invalidate(self, uuid: DeviceUuid) -> None:
        """Forget what is known of a device that was written by another way, and read it again."""
        self.mesh.access.invalidate(uuid)
        self.mesh.access.want((uuid,))

    # The router is made before the parts it sends to, so these look them up when they are called.

    def _dispatch(self, command: Command) -> None:
        self._parts.dispatcher.send(command)

    def _send_down(self, child: DeviceUuid, command: Command) -> None:
        self._parts.uplinking.server.send_down(child, command)

    def _is_brought(self, uuid: DeviceUuid) -> bool:
        return uuid in self._parts.intake.devices.by_uuid

    def _child_of(self, uuid: DeviceUuid) -> DeviceUuid | None:
        return self._parts.uplinking.server.child_of(uuid)

    def _is_child(self, uuid: DeviceUuid) -> bool:
        return self._parts.uplinking.server.is_child(uuid)

    async def _redeem(self, node: DeviceUuid, code: str) -> bool:
        return await self._parts.uplinking.server.redeem(node, code)

    def _refused(self, session: Session, publish: Publish, reason: str) -> None:
        if self.face is not None:
            self.face.refused(session, publish, reason)

    def _spool(self, message: Message, waiting: bool) -> int:  # noqa: FBT001 - the router's shape
        """Keep what must go up; a node without a parent keeps nothing."""
        if not self._parts.uplinking.has_parent:
            return 0
        if len(message.body) > MOST_BODY_BYTES:
            raise MalformedFrameError(
                f"message {message.id} of {message.sender} is larger than {MOST_BODY_BYTES} bytes",
                code="GW-1817",
                hint="send large data in parts; a parent takes packets of 256 KiB",
            )
        return self._parts.stores.spool.append(message, waiting=waiting)

    def _user_changed(self, name: str, user: User | None) -> int:
        """Let a change of a user hold at once; returns how many sessions it ended."""
        if user is None:
            self.users.drop(name)
            return user_changed(self.broker, name, None, "the user was removed")
        self.users.put(user)
        return user_changed(self.broker, name, principal_of(user), "the user was changed")

    def _fixed_users(self) -> dict[str, tuple[str, ...]]:
        """Return the users that no command may change, by name, also those whose files cannot be read."""
        fixed = {item.name: item.roles for item in self._parts.settings.mqtt.users}
        return {**fixed, DEMO_USER: DEMO_ROLES} if self._parts.options.is_demo else fixed

    def _users(self) -> dict[str, User]:
        users: dict[str, User] = {}
        mqtt = self._parts.settings.mqtt
        for item in mqtt.users:
            with parking(f"mqtt user {item.name}", self._parts.park):
                users[item.name] = user_from_file(
                    item.name,
                    self._parts.loaded.resolve(item.password_file),
                    grants_of(item.roles, mqtt.roles),
                    frozenset(item.roles),
                )
        if self._parts.options.is_demo:
            users[DEMO_USER] = user_from_file(
                DEMO_USER,
                password_file(self._parts.options.state_dir),
                grants_of(DEMO_ROLES, ()),
                frozenset(DEMO_ROLES),
            )
        return users
