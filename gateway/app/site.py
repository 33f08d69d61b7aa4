"""One ASGI app from the packages' apps: pages under `/ui`, metrics for this machine, the mesh at `/`."""

from typing import TYPE_CHECKING

from gateway.runtime.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

METRICS = "/metrics"


def site(mesh: "ASGIApp", page: "ASGIApp | None", metrics: Metrics) -> "ASGIApp":
    """Return the app of the node's HTTP server; without a page, `/ui` is 404 like all the mesh does not list."""
    from gateway.web.app import LocalOnly  # noqa: PLC0415 - Starlette, where HTTP is served

    numbers = LocalOnly(_metrics(metrics))

    async def serve(scope: "Scope", receive: "Receive", send: "Send") -> None:
        path = scope.get("path", "")
        if path == METRICS:
            await numbers(scope, receive, send)
        elif page is not None and (path in {"/", "/ui"} or path.startswith("/ui/")):
            await page(scope, receive, send)
        else:
            await mesh(scope, receive, send)

    return serve


def _metrics(metrics: Metrics) -> "ASGIApp":
    async def serve(_scope: "Scope", _receive: "Receive", send: "Send") -> None:
        headers = [(b"content-type", CONTENT_TYPE.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": metrics.exposition().encode()})

    return serve
