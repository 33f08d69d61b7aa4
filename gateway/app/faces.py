"""Where people and devices come in: MQTT listeners, the HTTP server, the control socket."""

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.app.http import HttpServer, tcp_socket, unix_socket
from gateway.app.listening import (
    Certificates,
    network_listeners,
    unix_listener,
    warn_of_anonymous,
)
from gateway.app.numbers import metrics_of
from gateway.app.operations import NodeOperations
from gateway.app.parking import parking
from gateway.broker.listeners import Listener
from gateway.broker.unix_socket import UnixListener
from gateway.config.listener_tables import TcpListener
from gateway.errors import ConfigError
from gateway.runtime.supervisor import Service

if TYPE_CHECKING:
    from gateway.app.parts import Parts
    from gateway.broker.engine_amqtt import AmqttEngine

log = logging.getLogger(__name__)


class Faces:
    """Listeners and servers; a port that is taken parks that face, the node runs."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._listeners: dict[str, Listener] = {}
        self._unix: UnixListener | None = None
        self._http: list[str] = []
        self.amqtt: AmqttEngine | None = None
        self.services: list[Service] = []

    def open(self, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> None:
        """Make every face that the configuration asks for."""
        self._open_mqtt()
        self._open_http(stack)
        self._open_control(stack)

    def _open_mqtt(self) -> None:
        """Make every listener; one that cannot open is parked and tried again, whatever stands in its way."""
        parts, mqtt = self._parts, self._parts.settings.mqtt
        entrances, broker = parts.mesh.entrances.entrances, parts.mesh.broker
        certificates = Certificates(mqtt.tls, parts.options.state_dir, parts.loaded.resolve)
        self._listeners = network_listeners(broker, mqtt, entrances, certificates)
        if mqtt.engine == "amqtt" and self._listeners.pop("tcp", None) is not None:
            self._open_amqtt()
        self.services += self._listeners.values()
        if mqtt.unix.enabled:
            name = mqtt.unix.path
            path = (
                parts.options.state_dir / "mqtt.sock"
                if name is None
                else parts.loaded.resolve(name)
            )
            self._unix = unix_listener(broker, mqtt, entrances["unix"], path)
            self.services.append(self._unix)
        if any(listener.is_encrypted for listener in self._listeners.values()):
            self.services.append(certificates)
        warn_of_anonymous(entrances, {**self._listeners, **({"unix": 1} if self._unix else {})})

    def _open_amqtt(self) -> None:
        """Let amqtt serve users and plain topics on the plain listener; devices and children need ours (TLS)."""
        mqtt = self._parts.settings.mqtt
        with parking("mqtt-amqtt", self._parts.park):
            _refuse_unguarded(mqtt.tcp)
            try:
                from gateway.broker.engine_amqtt import AmqttEngine  # noqa: PLC0415 - only when chosen
            except ImportError as error:
                raise ConfigError(
                    f"amqtt is not installed: {error}",
                    code="GW-1816",
                    hint='set mqtt.engine = "own"; on 32-bit ARM amqtt has no wheels',
                ) from error
            for chatty in ("amqtt", "transitions"):
                logging.getLogger(chatty).setLevel(logging.WARNING)
            self.amqtt = AmqttEngine(
                self._parts.mesh.bans,  # and behind it what [mqtt.tcp] lets in
                host=mqtt.tcp.bind[0],
                port=mqtt.tcp.port,
                accept_risks=mqtt.accept_amqtt_risks,
                on_command=self._parts.dispatcher.from_topic,
            )
            self.services.append(Renamed("mqtt-amqtt", self.amqtt))

    def _open_http(self, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> None:
        http = self._parts.settings.http
        if not http.enabled:
            return
        with parking("http", self._parts.park):
            sock = tcp_socket(http.bind, http.port)
            stack.callback(sock.close)
            self._http.append(f"{http.bind}:{sock.getsockname()[1]}")
            self.services.append(HttpServer(self._site(), [sock]))

    def _site(self) -> object:
        from gateway.app.site import site  # noqa: PLC0415 - Starlette, where HTTP is served
        from gateway.mesh.http.app import mesh_app  # noqa: PLC0415
        from gateway.web.app import PageSource, page_app  # noqa: PLC0415

        parts = self._parts
        mesh = mesh_app(parts.mesh.mesh.http_face(__version__))
        page = None
        if parts.settings.ui.enabled:
            page = page_app(
                PageSource(
                    parts.status,
                    parts.events,
                    parts.live.has_room,
                    parts.uplinking.uplink.cut,
                    parts.options.parent_page,
                    parts.options.child_page,
                )
            )
        return site(mesh, page, metrics_of(parts))

    def _open_control(self, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> None:
        from gateway.app.control import control_app  # noqa: PLC0415

        path = self._parts.options.state_dir / "control.sock"
        sock = unix_socket(path)
        stack.callback(path.unlink, missing_ok=True)
        stack.callback(sock.close)
        app = control_app(NodeOperations(self._parts))
        self.services.append(HttpServer(app, [sock], name="control"))

    # ---- what others ask ----

    async def broker_ready(self) -> None:
        """Return once a listener accepts connections; at once where there is none."""
        waiting = [listener.ready.wait() for listener in self._all()]
        if self.amqtt is not None:
            waiting.append(self.amqtt.ready.wait())
        if not waiting:
            return
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each, name="listener-ready") for each in waiting]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    def _all(self) -> list[Listener | UnixListener]:
        """Return the listeners that bring clients; the Unix socket alone is none to wait for."""
        found: list[Listener | UnixListener] = [*self._listeners.values()]
        return found or ([self._unix] if self._unix is not None else [])

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Return the first address of each listener that runs and that children may use."""
        return {
            name: listener.addresses[0]
            for name, listener in self._listeners.items()
            if listener.addresses and listener.is_for_children
        }

    def mqtt_addresses(self) -> list[str]:
        """Return where every MQTT listener is found."""
        tcp = self._parts.settings.mqtt.tcp
        own = [place for listener in self._listeners.values() for place in listener.where()]
        amqtt = [] if self.amqtt is None else [f"{tcp.bind[0]}:{tcp.port} (amqtt)"]
        return [*own, *amqtt, *(self._unix.where() if self._unix is not None else ())]

    def http_addresses(self) -> list[str]:
        """Return host:port of the HTTP server."""
        return list(self._http)

    @staticmethod
    def outside_name() -> str:
        """Return how other machines of the network find this one: by mDNS."""
        return f"{socket.gethostname().split('.')[0]}.local"


def _refuse_unguarded(tcp: TcpListener) -> None:
    """Refuse what amqtt would not keep to: it would let in more than the configuration says."""
    what = "proxy_protocol" if tcp.proxy_protocol else "more than one address in bind"
    if "user" not in tcp.kinds:
        what = "kinds without users"
    elif not tcp.proxy_protocol and len(tcp.bind) == 1:
        return
    raise ConfigError(
        f"mqtt.tcp asks for {what}, which amqtt cannot do",
        code="GW-1111",
        hint='set mqtt.engine = "own", or change [mqtt.tcp]',
    )


class Renamed:
    """Another engine as a service beside our broker: its own name, and parked alone when it fails."""

    required = False

    def __init__(self, name: str, service: Service) -> None:
        self.name = name
        self._service = service

    async def run(self) -> None:
        """Run it."""
        await self._service.run()
