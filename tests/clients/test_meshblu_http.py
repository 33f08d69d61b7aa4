"""npm's meshblu-http 10.2.0, unmodified, against the mesh: registration open and by code."""

from typing import Any

import pytest

from gateway.mesh.registration import RegistrationMode
from tests.clients.conftest import RunScript
from tests.fakes.mesh_server import serving

pytestmark = pytest.mark.slow
OK = {"error": None, "code": None}


def succeeded(step: dict[str, Any]) -> Any:
    assert step["error"] is None, step
    return step["value"]


def failed(step: dict[str, Any], code: int, message: str | None = None) -> None:
    assert step["code"] == code, step
    assert step["error"] == (message or f"Invalid Response Code {code}")


async def test_the_client_does_everything_with_open_registration(run_script: RunScript) -> None:
    async with serving(RegistrationMode.OPEN) as server:
        result = await run_script("http.js", port=server.http_port)
    check(result)
    assert succeeded(result["registered"])["configureWhitelist"] == ["*"]


async def test_the_client_registers_with_a_code_and_then_by_its_login(
    run_script: RunScript,
) -> None:
    async with serving(RegistrationMode.CODE) as server:
        code = server.node.mesh.registration.new_code()
        refused = await run_script("http.js", port=server.http_port)
        properties = {"registrationCode": code}
        result = await run_script("http.js", port=server.http_port, properties=properties)
    failed(
        refused["registered"],
        403,
        "Registering needs a login, or a registrationCode in the body.",
    )
    check(result)
    assert "registrationCode" not in succeeded(result["registered"])


def check(result: dict[str, Any]) -> None:
    registered = succeeded(result["registered"])
    uuid = registered["uuid"]
    assert result["healthcheck"]["value"] is True
    succeeded(result["authenticate"])
    failed(result["authenticateWrong"], 403)
    failed(result["whoamiWrong"], 403)
    for step in ("whoami", "whoamiBearer", "device", "sessionToken", "taggedToken"):
        assert succeeded(result[step])["uuid"] == uuid
    failed(result["deviceMissing"], 404)
    succeeded(result["update"])
    succeeded(result["updateDangerously"])
    failed(result["updateInvalid"], 422, "Update query may only contain authorized keys.")
    failed(result["updateEmpty"], 422, "'$set' is empty. You must specify a field.")
    succeeded(result["hook"])
    after = succeeded(result["after"])
    assert (after["color"], after["count"]) == ("red", 2)
    assert after["meshblu"]["forwarders"]["received"][0]["type"] == "webhook"
    assert after["meshblu"]["updatedBy"] == uuid

    assert succeeded(result["ownedByOwner"])["owner"] == uuid
    failed(result["closedByOther"], 404)
    failed(result["updateForbidden"], 403)
    failed(result["asForbidden"], 404)
    succeeded(result["message"])
    succeeded(result["broadcast"])
    failed(result["messageNobody"], 422)
    failed(result["messageWrong"], 403)
    assert succeeded(result["tagged"])["tag"] == "x"
    succeeded(result["revokeToken"])
    succeeded(result["revokeTokenByQuery"])
    for step in ("sessionTokenRevoked", "taggedTokenRevoked", "afterReset", "afterUnregister"):
        failed(result[step], 403)
    assert succeeded(result["publicKey"]) == {"uuid": uuid}
    succeeded(result["serverPublicKey"])
    succeeded(result["unregister"])
