"""npm's meshblu-mqtt 3.1.3, unmodified, against the mesh on our broker."""

import pytest

from tests.clients.conftest import RunScript
from tests.fakes.mesh_node import device_uuid
from tests.fakes.mesh_server import serving

pytestmark = pytest.mark.slow
A, B, CLOSED = (device_uuid(n) for n in range(1, 4))


async def test_the_client_does_everything(run_script: RunScript) -> None:
    async with serving() as server:
        opened = {"sendWhitelist": ["*"], "receiveWhitelist": ["*"]}
        await server.node.add(1, "ta", **opened)
        await server.node.add(2, "tb", publicKey="PEM", **opened)
        await server.node.add(3)
        result = await run_script(
            "mqtt.js",
            port=server.mqtt_port,
            a={"uuid": A, "token": "ta"},
            b={"uuid": B, "token": "tb"},
            closed={"uuid": CLOSED},
        )
    assert result["connected"] == {"uuid": A, "token": "ta"}
    granted = [result[f"{name}Topic"] for name in ("own", "open", "closed", "missing")]
    assert granted == [[0], [0], [128], [128]]
    for step in ("whoami", "bySession", "afterReset"):
        assert result[step]["error"] is None
        assert result[step]["value"]["uuid"] == A
    assert result["update"] == {"error": None, "code": None, "value": {}}
    assert result["after"]["value"]["color"] == "red"
    assert result["updateForbidden"]["error"] == "update failed: Forbidden"
    assert result["received"]["payload"] == "hello"
    assert result["received"]["fromUuid"] == A
    assert result["heard"]["payload"] == "all"
    assert result["config"]["name"] == "b"
    assert result["token"]["value"]["tag"] == "x"
    assert result["publicKey"]["value"] == {"uuid": B, "publicKey": "PEM"}
    assert len(result["reset"]["value"]["token"]) == 40
    assert result["wrongTopic"] == {"message": "Topic 'nonsense' is not valid"}
    assert "Bad username or password" in result["wrongToken"]
