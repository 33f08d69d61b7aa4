"""The HTTP face as one ASGI app: routing from the route table, CORS, and errors as clients read them."""

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router as StarletteRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.mesh.core.outcome import Outcome
from gateway.mesh.http import devices, health, messages
from gateway.mesh.http.call import BadRequestError
from gateway.mesh.http.face import HttpFace, Route
from gateway.mesh.http.replies import job_reply, json_response

ROUTES: tuple[Route, ...] = (*health.ROUTES, *devices.ROUTES, *messages.ROUTES)
METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE"


def mesh_app(face: HttpFace) -> ASGIApp:
    """Return the app that serves the mesh at `/`; what it does not list is 404."""
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    routes = [StarletteRoute(path, _Endpoint(face, methods)) for path, methods in by_path.items()]
    return _OpenToBrowsers(StarletteRouter(routes, redirect_slashes=False, default=_unlisted))


class _Endpoint:
    """All methods of one path; an object, so that Starlette leaves the methods to it."""

    def __init__(self, face: HttpFace, methods: dict[str, Route]) -> None:
        self._face = face
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route = self._methods.get(method)
        if route is None:
            await _unlisted(scope, receive, send)
            return
        try:
            response = await self._answer(route, Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, route: Route, request: Request) -> Response:
        try:
            return await route.serve(self._face, await self._face.call(request))
        except BadRequestError as error:
            return json_response(error.code, {"error": str(error)})
        except GatewayError as error:
            return job_reply(Outcome(HTTPStatus.SERVICE_UNAVAILABLE, error=str(error)))


class _OpenToBrowsers:
    """CORS as the original has it: any origin, and every OPTIONS is 204 (clients probe with it)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_open(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"access-control-allow-origin", b"*"),
                ]
            await send(message)

        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await _preflight(Request(scope))(scope, receive, send_open)
        else:
            await self._app(scope, receive, send_open)


def _preflight(request: Request) -> Response:
    headers = {"access-control-allow-methods": METHODS, "vary": "Access-Control-Request-Headers"}
    wanted = request.headers.get("access-control-request-headers")
    if wanted:
        headers["access-control-allow-headers"] = wanted
    return Response(None, HTTPStatus.NO_CONTENT, headers)


async def _unlisted(scope: Scope, receive: Receive, send: Send) -> None:
    await json_response(HTTPStatus.NOT_FOUND, {"message": "Not Found"})(scope, receive, send)
