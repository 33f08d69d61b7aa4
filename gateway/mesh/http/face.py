"""What the routes of the HTTP face share: who logs in, how a request becomes a job and an outcome a reply."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.mesh.core.auth import TokenHasher
from gateway.mesh.core.jobs import Runner
from gateway.mesh.core.outcome import Job, JobType, Outcome
from gateway.mesh.http import replies
from gateway.mesh.http.call import Call, body, credentials, named
from gateway.mesh.router import Router
from gateway.mesh.settling import Settling
from gateway.model.clock import Clock
from gateway.model.device import DeviceUuid


@dataclass(frozen=True, slots=True)
class HttpFace:
    """The mesh as its HTTP routes see it."""

    runner: Runner
    router: Router
    hasher: TokenHasher
    clock: Clock
    version: str
    settling: Settling

    async def knows(self, uuid: DeviceUuid, token: str) -> bool:
        """Return whether a device and a token of it are presented."""
        record = (await self.router.access.fetch((uuid,)))[uuid]
        return record is not None and self.hasher.is_known(uuid, token, record.token_hashes)

    async def call(self, request: Request) -> Call:
        """Read a request; raises BadRequestError where that is impossible."""
        content = await body(request) if request.method not in ("GET", "HEAD") else None
        presented = credentials(request.headers)
        auth = presented[0] if presented is not None and await self.knows(*presented) else None
        as_ = request.headers.get("x-meshblu-as")
        acting = named(as_.strip()) if as_ else None
        return Call(
            request.path_params,
            dict(request.query_params),
            content,
            auth,
            acting if acting != auth else None,
        )


Serve = Callable[[HttpFace, Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the route table: routing comes from it, and its description will."""

    method: str
    path: str
    serve: Serve
    summary: str
    needs_login: bool = True


def the_path(call: Call) -> DeviceUuid:
    """Return the device that the path names as the job's target."""
    return call.target


def the_caller(call: Call) -> DeviceUuid | None:
    """Return the logged-in device itself as the job's target."""
    return call.auth


def no_data(_call: Call) -> None:
    """Return nothing: the job needs no data."""


def job(
    type_: JobType,
    *,
    target: Callable[[Call], DeviceUuid | None] = the_path,
    data: Callable[[Call], Any] = no_data,
    reply: Callable[[Outcome], Response] = replies.job_reply,
) -> Serve:
    """Return a route's work: make the job, run it, put its outcome into words."""

    async def serve(face: HttpFace, call: Call) -> Response:
        made = Job(type_, auth=call.auth, acting=call.acting, target=target(call), data=data(call))
        return reply(await face.runner.run(made))

    return serve
