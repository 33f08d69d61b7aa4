"""Routes that say the mesh is there; none of them asks who you are."""

from http import HTTPStatus

from starlette.responses import Response

from gateway.mesh.core.outcome import Job, JobType
from gateway.mesh.http.call import Call
from gateway.mesh.http.face import HttpFace, Route
from gateway.mesh.http.replies import job_reply, json_response
from gateway.model.device import DeviceUuid

NO_DEVICE = DeviceUuid("00000000-0000-0000-0000-000000000000")


async def online(_face: HttpFace, _call: Call) -> Response:
    """Say that HTTP is served."""
    return json_response(HTTPStatus.OK, {"online": True})


async def proof_of_life(face: HttpFace, _call: Call) -> Response:
    """Say that the registry answers: it is asked for a device that is never in memory."""
    face.router.access.invalidate(NO_DEVICE)
    await face.router.access.fetch((NO_DEVICE,))
    return json_response(HTTPStatus.OK, {"online": True})


async def version(face: HttpFace, _call: Call) -> Response:
    """Say which version this is."""
    return json_response(HTTPStatus.OK, {"version": face.version})


async def status(face: HttpFace, _call: Call) -> Response:
    """Say that jobs are run."""
    return job_reply(await face.runner.run(Job(JobType.STATUS)))


ROUTES = (
    Route("GET", "/ping", online, "Is HTTP served?", needs_login=False),
    Route("GET", "/healthcheck", online, "Is HTTP served?", needs_login=False),
    Route("GET", "/proofoflife", proof_of_life, "Does the registry answer?", needs_login=False),
    Route("GET", "/version", version, "Which version is this?", needs_login=False),
    Route("GET", "/status", status, "Are jobs run?", needs_login=False),
)
