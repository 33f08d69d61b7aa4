"""Routes about devices and their tokens (specification 5.3)."""

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from gateway.mesh.core.outcome import Job, JobType
from gateway.mesh.http import replies
from gateway.mesh.http.call import Call
from gateway.mesh.http.face import HttpFace, Route, job, the_caller
from gateway.model.device import DeviceUuid


def nobody(_call: Call) -> DeviceUuid | None:
    """Return no target: the device does not exist yet, or the mesh itself is meant."""
    return None


def body_or_empty(call: Call) -> Any:
    """Return the body; one that is no object counts as `{}`."""
    return call.body if isinstance(call.body, dict) else {}


def operators(call: Call) -> Any:
    """Return the body as update operators."""
    return call.body


def query(call: Call) -> Any:
    """Return the query string; all its values are texts."""
    return dict(call.query)


def token_of_path(call: Call) -> Any:
    """Return the token that the path ends with."""
    return call.params["token"]


async def set_fields(face: HttpFace, call: Call) -> Response:
    """Set the fields of the body; `uuid` and `token` in it are dropped, as clients send whole documents."""
    if not isinstance(call.body, dict):
        return replies.json_response(
            HTTPStatus.UNPROCESSABLE_ENTITY, {"message": "Invalid Request"}
        )
    fields = {key: value for key, value in call.body.items() if key not in ("uuid", "token")}
    update = Job(
        JobType.UPDATE,
        auth=call.auth,
        acting=call.acting,
        target=call.target,
        data={"$set": fields},
    )
    return replies.job_reply(await face.runner.run(update))


async def check_token(face: HttpFace, call: Call) -> Response:
    """Say whether the token in the query is one of the device in the path."""
    if await face.knows(call.target, call.query.get("token", "")):
        return replies.json_response(HTTPStatus.OK, {"uuid": call.target, "authentication": True})
    return Response(None, HTTPStatus.FORBIDDEN)


DEVICE = "/devices/{uuid}"
V2_DEVICE = "/v2/devices/{uuid}"

ROUTES = (
    Route(
        "POST",
        "/authenticate",
        job(JobType.AUTHENTICATE, target=the_caller),
        "Check the credentials of this request.",
    ),
    Route("GET", "/authenticate/{uuid}", check_token, "Check a device's token.", needs_login=False),
    Route(
        "POST",
        "/devices",
        job(JobType.REGISTER, target=nobody, data=body_or_empty),
        "Register a device.",
        needs_login=False,
    ),
    Route("GET", DEVICE, job(JobType.GET, reply=replies.v1_device), "Read a device, wrapped."),
    Route("GET", V2_DEVICE, job(JobType.GET, reply=replies.v2_device), "Read a device."),
    Route(
        "GET",
        "/v3/devices/{uuid}",
        job(JobType.GET, reply=replies.v3_device),
        "Read a device; refusals are told from absence by nobody.",
    ),
    Route("GET", "/v2/whoami", job(JobType.GET, target=the_caller), "Read one's own device."),
    Route("PUT", DEVICE, set_fields, "Set fields of a device."),
    Route("PATCH", V2_DEVICE, set_fields, "Set fields of a device."),
    Route(
        "PUT",
        V2_DEVICE,
        job(JobType.UPDATE, data=operators),
        "Change a device with update operators.",
    ),
    Route("DELETE", DEVICE, job(JobType.UNREGISTER), "Unregister a device."),
    Route("POST", DEVICE + "/token", job(JobType.RESET_TOKEN), "Replace the root token."),
    Route(
        "POST",
        DEVICE + "/tokens",
        job(JobType.CREATE_TOKEN, data=body_or_empty),
        "Make a session token.",
    ),
    Route(
        "DELETE",
        DEVICE + "/tokens",
        job(JobType.REVOKE_TOKENS, data=query),
        "Revoke session tokens by their metadata.",
    ),
    Route(
        "DELETE",
        DEVICE + "/tokens/{token}",
        job(JobType.REVOKE_TOKEN, data=token_of_path),
        "Revoke a session token.",
    ),
    Route(
        "GET",
        DEVICE + "/publickey",
        job(JobType.PUBLIC_KEY),
        "Read a device's public key.",
        needs_login=False,
    ),
    Route(
        "GET",
        "/publickey",
        job(JobType.SERVER_KEY, target=nobody),
        "Read the mesh's public key.",
        needs_login=False,
    ),
)
