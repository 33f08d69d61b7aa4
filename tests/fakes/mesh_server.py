"""The mesh behind real sockets in this process: our broker and HTTP server on free ports, an in-memory registry."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.app.http import HttpServer, tcp_socket
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.mesh.http.app import mesh_app
from gateway.mesh.mqtt import MqttFace
from gateway.mesh.registration import RegistrationMode
from tests.fakes.mesh_node import MeshNode


@dataclass(frozen=True)
class MeshServer:
    """A mesh that clients of other processes can reach."""

    node: MeshNode
    broker: Broker
    face: MqttFace
    http_port: int
    mqtt_port: int


@contextlib.asynccontextmanager
async def serving(
    mode: RegistrationMode = RegistrationMode.OPEN, *, has_parent: bool = False
) -> AsyncIterator[MeshServer]:
    """Serve a mesh on 127.0.0.1 meanwhile."""
    node = MeshNode(mode, has_parent=has_parent)
    broker = Broker(node.mesh.authenticator)
    face = node.mesh.serve_mqtt(broker)
    broker.on_refused = face.refused
    listener = Listener(broker, ListenerSpec("tcp", ("127.0.0.1",), 0))
    sock = tcp_socket("127.0.0.1", 0)
    http = HttpServer(mesh_app(node.mesh.http_face("0.0.0")), [sock])
    async with asyncio.TaskGroup() as group:
        services = [
            group.create_task(service.run()) for service in (node.mesh.work, broker, listener, http)
        ]
        await listener.ready.wait()
        mqtt_port = listener.addresses[0][1]
        try:
            yield MeshServer(node, broker, face, sock.getsockname()[1], mqtt_port)
        finally:
            for task in services:
                task.cancel()
            http.close()
