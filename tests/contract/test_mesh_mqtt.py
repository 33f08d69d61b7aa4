"""The mesh on our broker over real sockets, with Debian's mosquitto clients as outsiders."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from gateway.mesh.core.outcome import Job, JobType
from tests.fakes.mesh_node import device_uuid
from tests.fakes.mesh_server import MeshServer, serving
from tests.fakes.waiting import eventually

pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not installed"
)
A, B, UNKNOWN = (device_uuid(n) for n in range(1, 4))


@pytest.fixture
async def server() -> AsyncIterator[MeshServer]:
    async with serving(has_parent=True) as server:
        await server.node.add(1, "ta", sendWhitelist=["*"])
        await server.node.add(2, "tb", sendWhitelist=["*"])
        yield server


async def client(
    server: MeshServer, tool: str, uuid: str, token: str, *words: str
) -> asyncio.subprocess.Process:
    login = ["-h", "127.0.0.1", "-p", str(server.mqtt_port), "-u", uuid, "-P", token]
    return await asyncio.create_subprocess_exec(
        tool, *login, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


async def finished(process: asyncio.subprocess.Process) -> tuple[int | None, bytes, bytes]:
    async with asyncio.timeout(5):
        out, err = await process.communicate()
    return process.returncode, out, err


async def test_a_message_for_above_is_acknowledged_once_it_is_settled(server: MeshServer) -> None:
    body = json.dumps({"devices": [UNKNOWN]})
    words = ("-q", "1", "-t", "message", "-m", body)
    publisher = await client(server, "mosquitto_pub", A, "ta", *words)
    await eventually(lambda: server.node.spooled)
    await eventually(lambda: server.broker.unsettled)
    assert publisher.returncode is None
    server.broker.settled(1)
    assert (await finished(publisher))[0] == 0


async def test_a_message_for_here_is_acknowledged_and_delivered(server: MeshServer) -> None:
    listener = await client(server, "mosquitto_sub", B, "tb", "-t", B, "-q", "1", "-C", "1")
    await eventually(lambda: B in server.node.mesh.attachments)
    body = json.dumps({"devices": [B], "payload": "hi"})
    publisher = await client(
        server, "mosquitto_pub", A, "ta", "-q", "1", "-t", "message", "-m", body
    )
    assert (await finished(publisher))[0] == 0
    code, out, _err = await finished(listener)
    assert code == 0
    frame = json.loads(out)
    assert frame == {
        "topic": "message",
        "data": {"devices": [B], "payload": "hi", "fromUuid": A},
    }


async def test_a_wrong_token_is_told_so(server: MeshServer) -> None:
    code, _out, err = await finished(
        await client(server, "mosquitto_pub", A, "wrong", "-t", "message", "-m", "{}")
    )
    assert code != 0
    assert b"bad user name or password" in err.lower()


async def test_an_unregistered_device_is_cut_off(server: MeshServer) -> None:
    listener = await client(server, "mosquitto_sub", B, "tb", "-t", B)
    await eventually(lambda: B in server.node.mesh.attachments)
    await server.node.mesh.runner.run(Job(JobType.UNREGISTER, auth=B, target=B))
    await eventually(lambda: server.face.sessions_of(B) == 0)
    assert B not in server.node.mesh.attachments
    listener.kill()
    await finished(listener)
