"""What an operator on this machine may ask of the running node: JSON over the control socket (mode 0600).

There is no login: whoever may open the socket file is the gateway's own user or root.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import GatewayError

MOST_BODY_BYTES = 64 * 1024

Arguments = Mapping[str, Any]


class Operations(Protocol):
    """What the node offers; each method returns JSON, and raises GatewayError with a hint."""

    def status(self) -> dict[str, Any]:
        """Return the whole status."""
        ...

    def events(self) -> AsyncIterator[bytes]:
        """Stream live events."""
        ...

    def log_tail(self, count: int) -> list[str]:
        """Return the last log lines."""
        ...

    def log_stream(self) -> AsyncIterator[bytes]:
        """Stream log lines as events."""
        ...

    def trace(self, arguments: Arguments) -> AsyncIterator[bytes]:
        """Stream packets of MQTT clients as events."""
        ...

    async def perform(self, operation: str, arguments: Arguments) -> object:
        """Carry out one named operation of OPERATIONS."""
        ...


OPERATIONS: tuple[tuple[str, str, str], ...] = (
    # method, path, operation
    ("GET", "/devices", "devices"),
    ("POST", "/devices/{uuid}/rename", "rename"),
    ("DELETE", "/devices/{uuid}", "forget"),
    ("POST", "/devices/{uuid}/command", "command"),
    ("GET", "/spool", "spool"),
    ("GET", "/spool/dead", "dead-letters"),
    ("POST", "/mesh/invite", "invite"),
    ("POST", "/mesh/pair", "pair"),
    ("POST", "/mesh/code", "code"),
    ("GET", "/mesh/children", "children"),
    ("POST", "/join", "join"),
    ("POST", "/leave", "leave"),
    ("POST", "/line", "line"),
    ("POST", "/logs/level", "log-level"),
    ("GET", "/broker/clients", "broker-clients"),
    ("GET", "/broker/sessions", "broker-sessions"),
    ("GET", "/broker/retained", "broker-retained"),
    ("POST", "/broker/retained/clear", "broker-retained-clear"),
    ("GET", "/broker/refused", "broker-refused"),
    ("POST", "/broker/kick", "broker-kick"),
    ("GET", "/broker/users", "broker-users"),
    ("POST", "/broker/users", "broker-user-add"),
    ("POST", "/broker/users/roles", "broker-user-roles"),
    ("POST", "/broker/users/password", "broker-user-password"),
    ("POST", "/broker/users/remove", "broker-user-remove"),
)


def control_app(node: Operations) -> Starlette:
    """Return the ASGI app for the control socket."""

    async def status(_: Request) -> Response:
        return JSONResponse(node.status())

    async def events(_: Request) -> Response:
        return StreamingResponse(node.events(), media_type="text/event-stream")

    async def logs(request: Request) -> Response:
        tail = request.query_params.get("tail", "50")
        return JSONResponse(node.log_tail(int(tail) if tail.isdecimal() else 50))

    async def log_stream(_: Request) -> Response:
        return StreamingResponse(node.log_stream(), media_type="text/event-stream")

    async def trace(request: Request) -> Response:
        try:
            lines = node.trace(request.query_params)
        except GatewayError as error:
            return _fault(error)
        return StreamingResponse(lines, media_type="text/event-stream")

    routes = [
        Route("/status", status),
        Route("/events", events),
        Route("/logs", logs),
        Route("/logs/stream", log_stream),
        Route("/broker/trace", trace),
        *(Route(path, _performer(node, name), methods=[verb]) for verb, path, name in OPERATIONS),
    ]
    return Starlette(routes=routes)


def _performer(node: Operations, name: str) -> Callable[[Request], Awaitable[Response]]:
    async def perform(request: Request) -> Response:
        try:
            arguments = await _arguments(request)
            return JSONResponse(await node.perform(name, arguments))
        except GatewayError as error:
            return _fault(error)

    return perform


def _fault(error: GatewayError) -> Response:
    return JSONResponse({"error": error.text, "code": error.code, "hint": error.hint}, 409)


async def _arguments(request: Request) -> Arguments:
    body = await request.body()
    try:
        value = json.loads(body) if body else {}
    except ValueError:
        value = None
    if not isinstance(value, dict) or len(body) > MOST_BODY_BYTES:
        raise GatewayError(
            f"{request.method} {request.url.path} needs a JSON object",
            code="GW-1811",
            hint="this is what the `gateway` command sends; is it of the same version as the node?",
        )
    return {**request.query_params, **value, **request.path_params}
