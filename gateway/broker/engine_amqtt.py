"""amqtt behind the `core` part of the broker's contract; imported only when `mqtt.engine = "amqtt"`.

Why it is not the default: measured on 0.12.1 it spends twenty to forty times the CPU of mosquitto per message, and

- a CONNECT with a wrong password and a victim's client id makes the victim deaf or disconnects it;
- on every CONNECT retained messages of other clients' filters are sent to the newcomer;
- keep-alive is not enforced, so a dead device never goes offline and its will is never published;
- a QoS 1 message not acknowledged within 5 s is forgotten; queues and packet sizes have no bound;
- broken packets leave the connection open and sometimes deaf; wills are not judged by any access list;
- MQTT 3.1 and the CONNECT of the published Meshblu client (`MQIsdp`, level 4) are cut off.

So it serves users and plain topics only: no device logs in, nothing is claimed, no acknowledgement waits for the
disk, and it listens on loopback unless the owner accepts these risks by name.
"""

# mypy: disallow-subclassing-any=False
# amqtt publishes no types.

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amqtt.broker import Broker as AmqttBroker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session as AmqttSession

from gateway.broker.access import SubscribeAs, may_publish, may_read, may_subscribe
from gateway.errors import ConfigError
from gateway.mqtt.ports import Authenticator, Credentials, Principal, PrincipalKind, Rejected

log = logging.getLogger(__name__)

OUTBOX = 1000  # messages of this process that amqtt has not taken yet; beyond it they are dropped and counted


class Users:
    """Who is logged in: shared by amqtt's two plugins, which amqtt makes itself."""

    def __init__(self, authenticate: Authenticator) -> None:
        self.authenticate = authenticate
        self.principals: dict[tuple[str, str], Principal] = {}

    async def admit(self, session: AmqttSession) -> bool:
        """Judge a login; only users pass."""
        answered: asyncio.Future[Principal | Rejected] = asyncio.get_running_loop().create_future()
        password = session.password
        self.authenticate(
            Credentials(
                session.client_id or "",
                session.username,
                password.encode() if isinstance(password, str) else password,
                f"{session.remote_address}:{session.remote_port}",
                "amqtt",
            ),
            lambda answer: None if answered.done() else answered.set_result(answer),
        )
        answer = await answered
        if isinstance(answer, Rejected) or answer.kind is not PrincipalKind.USER:
            return False
        self.principals[_key(session)] = answer
        return True

    def allows(self, session: AmqttSession | None, topic: str, action: Action) -> bool:
        """Judge a publish, a subscription or a delivery by the access table."""
        principal = self.principals.get(_key(session)) if session is not None else None
        if principal is None:
            return False
        if action == Action.PUBLISH:
            return may_publish(principal, topic).refusal is None
        if action == Action.SUBSCRIBE:
            verdict = may_subscribe(principal, topic)
            return verdict is SubscribeAs.OPEN or verdict is SubscribeAs.CHECKED
        return may_read(principal, topic)


def _key(session: AmqttSession) -> tuple[str, str]:
    return session.username or "", session.client_id or ""


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


class AmqttEngine:
    """A service that runs amqtt on one address."""

    name = "broker"
    required = True

    def __init__(
        self, authenticate: Authenticator, *, host: str, port: int, accept_risks: bool = False
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
        self._users = Users(authenticate)
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
        return {"clients": len(self._users.principals), "dropped": self.dropped}

    def _config(self) -> dict[str, object]:
        module = __name__
        return {
            "listeners": {"default": {"type": "tcp", "bind": self._bind}},
            "plugins": {
                f"{module}.LoginPlugin": {"users": self._users},
                f"{module}.TopicPlugin": {"users": self._users},
            },
        }


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
