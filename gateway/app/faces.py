"""Where people and devices come in: MQTT listeners, the HTTP server, the control socket."""

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.app.http import HttpServer, tcp_socket, unix_socket
from gateway.app.numbers import metrics_of
from gateway.app.operations import NodeOperations
from gateway.app.parking import parking
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.errors import ConfigError
from gateway.runtime.supervisor import Service
from gateway.uplink.certificate import server_context

if TYPE_CHECKING:
    from gateway.app.parts import Parts
    from gateway.broker.engine_amqtt import AmqttEngine

log = logging.getLogger(__name__)


class Faces:
    """Listeners and servers; a port that is taken parks that face, the node runs."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._listeners: dict[str, Listener] = {}
        self._http: list[str] = []
        self.amqtt: AmqttEngine | None = None
        self.services: list[Service] = []

    def open(self, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> None:
        """Make every face that the configuration asks for."""
        self._open_mqtt()
        self._open_http(stack)
        self._open_control(stack)

    def _open_mqtt(self) -> None:
        mqtt, broker = self._parts.settings.mqtt, self._parts.mesh.broker
        if mqtt.engine == "amqtt":
            self._open_amqtt()
        elif mqtt.tcp.enabled:
            spec = ListenerSpec("tcp", (mqtt.tcp.bind,), mqtt.tcp.port)
            self._listeners["tcp"] = Listener(broker, spec)
        if mqtt.tls.enabled:
            with parking("mqtt-tls", self._parts.park):
                spec = ListenerSpec("tls", (mqtt.tls.bind,), mqtt.tls.port, tls=self._context())
                self._listeners["tls"] = Listener(broker, spec)
        self.services += self._listeners.values()

    def _open_amqtt(self) -> None:
        """Let amqtt serve users and plain topics on the plain listener; devices and children need ours (TLS)."""
        mqtt = self._parts.settings.mqtt
        with parking("mqtt-amqtt", self._parts.park):
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
                self._parts.mesh.users,
                host=mqtt.tcp.bind,
                port=mqtt.tcp.port,
                accept_risks=mqtt.accept_amqtt_risks,
            )
            self.services.append(Renamed("mqtt-amqtt", self.amqtt))

    def _context(self) -> ssl.SSLContext:
        tls = self._parts.settings.mqtt.tls
        if tls.certificate_file is None:
            return server_context(self._parts.options.state_dir)
        resolve = self._parts.loaded.resolve
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(
                resolve(tls.certificate_file), resolve(tls.key_file) if tls.key_file else None
            )
        except OSError as error:
            raise ConfigError(
                f"the certificate {tls.certificate_file} cannot be used: {error.strerror or error}",
                code="GW-1810",
                hint="name a PEM certificate and its key in [mqtt.tls], or leave both out",
            ) from error
        return context

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
        waiting = [listener.ready.wait() for listener in self._listeners.values()]
        if self.amqtt is not None:
            waiting.append(self.amqtt.ready.wait())
        if not waiting:
            return
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each, name="listener-ready") for each in waiting]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Return the first address of each listener that runs."""
        return {
            name: listener.addresses[0]
            for name, listener in self._listeners.items()
            if listener.addresses
        }

    def mqtt_addresses(self) -> list[str]:
        """Return host:port of every MQTT listener."""
        own = [f"{host}:{port}" for x in self._listeners.values() for host, port in x.addresses]
        tcp = self._parts.settings.mqtt.tcp
        return own if self.amqtt is None else [*own, f"{tcp.bind}:{tcp.port} (amqtt)"]

    def http_addresses(self) -> list[str]:
        """Return host:port of the HTTP server."""
        return list(self._http)

    @staticmethod
    def outside_name() -> str:
        """Return how other machines of the network find this one: by mDNS."""
        return f"{socket.gethostname().split('.')[0]}.local"


class Renamed:
    """Another engine as a service beside our broker: its own name, and parked alone when it fails."""

    required = False

    def __init__(self, name: str, service: Service) -> None:
        self.name = name
        self._service = service

    async def run(self) -> None:
        """Run it."""
        await self._service.run()
