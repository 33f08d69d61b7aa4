"""amqtt behind the `core` part of the broker's contract; imported only when `mqtt.engine = "amqtt"`.

Why it is not the default: measured on 0.12.1 it spends twenty to forty times the CPU of mosquitto per message, and

- a CONNECT with a wrong password and a victim's client id makes the victim deaf or disconnects it;
- on every CONNECT retained messages of other clients' filters are sent to the newcomer;
- keep-alive is not enforced, so a dead device never goes offline and its will is never published;
- a QoS 1 message not acknowledged within 5 s is forgotten; queues and packet sizes have no bound;
- broken packets leave the connection open and sometimes deaf; wills are not judged by any access list;
- MQTT 3.1 and the CONNECT of the published Meshblu client (`MQIsdp`, level 4) are cut off.

So it serves users and plain topics only: no device logs in, nothing is claimed, no acknowledgement waits for the
disk, and it listens on loopback unless the owner accepts these risks by name.  Commands on `devices/<slug>/set` are
heard after its access check, as an event; they are routed to those who may read them, too.
"""

# mypy: disallow-subclassing-any=False
# amqtt publishes no types.

import asyncio
import ipaddress
import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BasePlugin, BaseTopicPlugin
from amqtt.session import ApplicationMessage
from amqtt.session import Session as AmqttSession

from gateway.broker.access import Row, SubscribeAs, may_publish, may_read, may_subscribe, row_of
from gateway.broker.capabilities import AMQTT
from gateway.errors import ConfigError
from gateway.mqtt.ports import Authenticator, Credentials, Principal, PrincipalKind, Rejected

log = logging.getLogger(__name__)

OUTBOX = 1000  # messages of this process that amqtt has not taken yet; beyond it they are dropped and counted


OnCommand = Callable[[str, bytes, str], object]
"""(slug, payload, user): somebody wrote to `devices/<slug>/set` and may."""


class Users:
    """Who is logged in: shared by amqtt's plugins, which amqtt makes itself.

    amqtt writes the name that a CONNECT claims into the session of that client id before anybody has checked the
    password, also while its owner is still connected.  So a session's rights are bound to the session itself, and
    hold only while it carries the name that was proved.
    """

    def __init__(self, authenticate: Authenticator, on_command: OnCommand) -> None:
        self.authenticate = authenticate
        self.on_command = on_command
        self.retained_commands = 0
        self._proved: dict[int, tuple[weakref.ref[AmqttSession], str, Principal]] = {}

    async def admit(self, session: AmqttSession) -> bool:
        """Judge a login; only users pass."""
        answered: asyncio.Future[Principal | Rejected] = asyncio.get_running_loop().create_future()
        name, password = session.username or "", session.password
        self.authenticate(
            Credentials(
                session.client_id or "",
                name,
                password.encode() if isinstance(password, str) else password,
                f"{session.remote_address}:{session.remote_port}",
                "tcp",  # whose rules hold: amqtt listens in its place
            ),
            lambda answer: None if answered.done() else answered.set_result(answer),
        )
        answer = await answered
        if isinstance(answer, Rejected) or answer.kind is not PrincipalKind.USER:
            return False
        number = id(session)
        forgotten = weakref.ref(session, lambda _: self._proved.pop(number, None))
        self._proved[number] = forgotten, name, answer
        return True

    def allows(self, session: AmqttSession | None, topic: str, action: Action) -> bool:
        """Judge a publish, a subscription or a delivery by the access table."""
        principal = self.principal(session)
        if principal is None:
            return False
        if action == Action.PUBLISH:
            return may_publish(principal, topic).refusal is None
        if action == Action.SUBSCRIBE:
            verdict = may_subscribe(principal, topic)
            return verdict is SubscribeAs.OPEN or verdict is SubscribeAs.CHECKED
        return may_read(principal, topic)

    def principal(self, session: AmqttSession | None) -> Principal | None:
        """Return whose session this is, if that was proved and nobody claims another name on it."""
        known = self._proved.get(id(session))
        if session is None or known is None or (session.username or "") != known[1]:
            return None
        return known[2]

    def connected(self) -> int:
        """Return how many sessions have a client now."""
        sessions = (session() for session, _, _ in list(self._proved.values()))
        return sum(
            session is not None and session.transitions.is_connected() for session in sessions
        )

    def published(self, session: AmqttSession | None, message: ApplicationMessage) -> None:
        """Take a message that amqtt is about to route: a command goes to its device, unless it is retained."""
        if row_of(message.topic) is not Row.SET:
            return
        principal = self.principal(session)
        if principal is None or may_publish(principal, message.topic).refusal is not None:
            return  # the client id changed hands between check and event
        if message.publish_packet is not None and message.publish_packet.retain_flag:
            self.retained_commands += 1  # it would act again at every restart
            return
        self.on_command(message.topic.split("/")[1], bytes(message.data), principal.name)


class LoginPlugin(BaseAuthPlugin):
    """amqtt asks it who may log in."""

    @dataclass
    class Config:
        """The engine's users."""

        users: Any = None

    async def authenticate(self, *, session: AmqttSession) -> bool | None:
        """Judge a login."""
        users: Users = self.config.users
        return await users.admit(session)


class TopicPlugin(BaseTopicPlugin):
    """amqtt asks it what a topic may be used for."""

    @dataclass
    class Config:
        """The engine's users."""

        users: Any = None

    async def topic_filtering(
        self,
        *,
        session: AmqttSession | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        """Judge the use of a topic."""
        users: Users = self.config.users
        return topic is not None and action is not None and users.allows(session, topic, action)


class CommandPlugin(BasePlugin[Any]):
    """amqtt tells it of every publish that passed the access check."""

    @dataclass
    class Config:
        """The engine's users."""

        users: Any = None

    async def on_broker_message_broadcast(
        self, *, client_id: str, message: ApplicationMessage
    ) -> None:
        """Hear what a client published."""
        users: Users = self.config.users
        users.published(self.context.get_session(client_id), message)


class AmqttEngine:
    """A service that runs amqtt on one address."""

    name = "broker"
    required = True
    capabilities = AMQTT

    def __init__(
        self,
        authenticate: Authenticator,
        *,
        host: str,
        port: int,
        accept_risks: bool = False,
        on_command: OnCommand = lambda *_: None,
    ) -> None:
        """Prepare; raises ConfigError for an address beyond loopback unless the risks are accepted."""
        if not accept_risks and not _is_loopback(host):
            raise ConfigError(
                f"amqtt is not to listen on {host}",
                code="GW-1111",
                hint='set mqtt.engine = "own", or accept_amqtt_risks = true',
            )
        self.ready = asyncio.Event()
        self.dropped = 0
        self._users = Users(authenticate, on_command)
        self._bind = f"{host}:{port}"
        self._outbox: asyncio.Queue[tuple[str, bytes, int, bool]] = asyncio.Queue(OUTBOX)

    async def run(self) -> None:
        """Service: serve until cancelled."""
        broker = AmqttBroker(self._config())
        await broker.start()
        self.ready.set()
        try:
            while True:
                topic, payload, qos, retain = await self._outbox.get()
                await broker.internal_message_broadcast(topic, payload, qos)
                if retain:
                    await broker.retain_message(None, topic, payload, qos)
        finally:
            self.ready.clear()
            await broker.shutdown()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Publish as the node; dropped and counted while amqtt is far behind."""
        if self._outbox.full():
            self.dropped += 1
            return
        self._outbox.put_nowait((topic, payload, qos, retain))

    def claim(self, pattern: str, handler: Callable[..., object]) -> None:
        """Refuse: amqtt has no place where a publish could be taken before it is routed."""
        raise ConfigError(
            f"{pattern} cannot be claimed on amqtt ({handler!r})",
            code="GW-1111",
            hint='set mqtt.engine = "own" to use the mesh, children or commands',
        )

    def stats(self) -> dict[str, float]:
        """Return what is known."""
        return {
            "clients": self._users.connected(),
            "dropped": self.dropped,
            "retained_commands": self._users.retained_commands,
        }

    def _config(self) -> dict[str, object]:
        module = __name__
        return {
            "listeners": {"default": {"type": "tcp", "bind": self._bind}},
            "plugins": {
                f"{module}.LoginPlugin": {"users": self._users},
                f"{module}.TopicPlugin": {"users": self._users},
                f"{module}.CommandPlugin": {"users": self._users},
            },
        }


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
