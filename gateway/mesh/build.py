"""The mesh put together, for the composition root and for tests: one order, in one place.

First `Mesh(...)`, then a broker with `mesh.authenticator`, then `mesh.serve_mqtt(broker)`; `mesh.work` is the
service to run.  HTTP is `gateway.mesh.http.app.mesh_app(mesh.http_face(version))`, imported only by who serves it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.mesh.access import AccessCache
from gateway.mesh.attachments import Attachments
from gateway.mesh.authenticator import DeviceAuthenticator
from gateway.mesh.changes import MeshChanges
from gateway.mesh.core.auth import TokenHasher
from gateway.mesh.core.jobs import Runner
from gateway.mesh.core.registry import Registry
from gateway.mesh.mqtt import MqttFace
from gateway.mesh.registration import Registration, RegistrationMode
from gateway.mesh.router import Router, Ways
from gateway.mesh.settling import Settling
from gateway.mesh.work import Work
from gateway.model.clock import Clock
from gateway.model.device import DeviceUuid
from gateway.model.ports import DeviceRepository, TokenRepository
from gateway.mqtt.ports import Authenticator, LocalBroker

if TYPE_CHECKING:
    from gateway.mesh.http.face import HttpFace


@dataclass(frozen=True, slots=True)
class Gatekeeping:
    """Who may come in: registration, and the logins that are no device's token."""

    mode: RegistrationMode
    pepper: bytes = field(repr=False)
    is_child: Callable[[DeviceUuid], bool]
    redeem: Callable[[DeviceUuid, str], Awaitable[bool]]
    other: Authenticator


class Mesh:
    """Everything of the mesh that lives as long as the node."""

    def __init__(
        self,
        devices: DeviceRepository,
        tokens: TokenRepository,
        *,
        clock: Clock,
        ways: Ways,
        gatekeeping: Gatekeeping,
        server_key: str | None = None,
    ) -> None:
        self._clock = clock
        self.settling = Settling()
        self.hasher = TokenHasher(gatekeeping.pepper)
        self.work = Work()
        self.access = AccessCache(devices, clock, self.work)
        self.attachments = Attachments()
        self.router = Router(ways, access=self.access, attachments=self.attachments, clock=clock)
        self.changes = MeshChanges(self.access, self.attachments, self.router, clock)
        self.registration = Registration(gatekeeping.mode, clock)
        registry = Registry(
            devices, tokens, self.hasher, clock, self.registration, self.changes, server_key
        )
        self.runner = Runner(registry, self.access)
        self.authenticator = DeviceAuthenticator(
            self.access,
            self.hasher,
            self.work,
            is_child=gatekeeping.is_child,
            redeem=gatekeeping.redeem,
            other=gatekeeping.other,
        )

    def serve_mqtt(self, broker: LocalBroker) -> MqttFace:
        """Claim Meshblu's topics on a broker that was made with `authenticator`."""
        face = MqttFace(
            broker,
            self.runner,
            self.router,
            work=self.work,
            authenticator=self.authenticator,
            clock=self._clock,
        )
        face.bind(self.changes)
        return face

    def http_face(self, version: str) -> "HttpFace":
        """Return what `mesh_app` serves."""
        from gateway.mesh.http.face import HttpFace  # noqa: PLC0415 - Starlette, where HTTP is served

        return HttpFace(self.runner, self.router, self.hasher, self._clock, version, self.settling)
