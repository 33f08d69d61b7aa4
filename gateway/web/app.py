"""The page's own ASGI app: one HTML file, its event stream, and the switch that cuts the line to the parent.

Until logins exist it answers this machine only: the peer must be a loopback address, and the Host header a
loopback name, so that no web page elsewhere can reach it through DNS rebinding; a POST must carry a header
that a foreign page cannot send.
"""

import base64
import hashlib
import importlib.resources
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
MOST_BODY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class PageSource:
    """What the page shows and may do, handed in by the composition root."""

    status: Callable[[], dict[str, Any]]
    events: Callable[[], AsyncIterator[bytes]]
    may_watch: Callable[[], bool]  # False when enough viewers are connected
    cut: Callable[[bool], None]  # cut (True) or mend the line to the parent
    parent_page: str | None = None  # "http://127.0.0.1:18080": its status is shown beside ours
    child_page: str | None = None  # the page that may read ours across origins, in a demo


def page_app(source: PageSource) -> ASGIApp:
    """Return the app, to be mounted at the root: it serves `/`, `/ui` and what lies below."""
    routes = [
        Route("/", _to_page),
        Route("/ui", _page),
        Route("/ui/status", _status),
        Route("/ui/events", _events),
        Route("/ui/line", _line, methods=["POST"]),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(LocalOnly)])
    app.state.source = source
    return app


class LocalOnly:
    """Refuses whoever is not on this machine, with a sentence that says why."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass local requests on, answer 403 to all others."""
        if scope["type"] == "http" and (why := refusal(scope)):
            await Response(f"{why}\n", 403, media_type="text/plain")(scope, receive, send)
            return
        await self._app(scope, receive, send)


def refusal(scope: Scope) -> str | None:
    """Return why a request may not see the page, or None."""
    client = scope.get("client")
    try:
        local = client is not None and ip_address(client[0]).is_loopback
    except ValueError:
        local = False
    if not local:
        return "This page answers its own machine only: use an SSH tunnel, for instance `ssh -L 8080:127.0.0.1:8080 pi`."
    headers = {bytes(name): bytes(value).decode("latin-1") for name, value in scope["headers"]}
    if host_name(headers.get(b"host", "")) not in LOCAL_NAMES:
        return "This page answers to the names localhost and 127.0.0.1 only."
    if scope["method"] == "POST" and headers.get(b"x-gateway") != "page":
        return "This request does not come from the gateway's own page."
    return None


def host_name(host: str) -> str:
    """Return a Host header without its port."""
    return re.sub(r":\d+\Z", "", host).lower()


@lru_cache(maxsize=1)
def _html() -> tuple[str, str]:
    """Return the page, and the part of its policy that names exactly its own script and style."""
    text = importlib.resources.files("gateway.web").joinpath("page.html").read_text("utf-8")
    policy = f"script-src {_hash(text, 'script')}; style-src {_hash(text, 'style')}"
    return text, policy


def _hash(text: str, tag: str) -> str:
    inner = text.split(f"<{tag}>", 1)[1].split(f"</{tag}>", 1)[0]
    return f"'sha256-{base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()}'"


async def _to_page(_: Request) -> Response:
    return RedirectResponse("/ui", 307)


async def _page(request: Request) -> Response:
    source: PageSource = request.app.state.source
    text, hashes = _html()
    connect = " ".join(["'self'", *([source.parent_page] if source.parent_page else [])])
    policy = (
        f"default-src 'none'; {hashes}; connect-src {connect}; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    text = text.replace("{{parent}}", source.parent_page or "")
    return Response(text, media_type="text/html; charset=utf-8", headers=headers)


def _shared(source: PageSource) -> dict[str, str]:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if source.child_page:
        headers |= {"Access-Control-Allow-Origin": source.child_page, "Vary": "Origin"}
    return headers


async def _status(request: Request) -> Response:
    source: PageSource = request.app.state.source
    return JSONResponse(source.status(), headers=_shared(source))


async def _events(request: Request) -> Response:
    source: PageSource = request.app.state.source
    if not source.may_watch():
        return Response("Too many viewers: close a tab.\n", 503, media_type="text/plain")
    headers = _shared(source) | {"X-Accel-Buffering": "no"}
    return StreamingResponse(source.events(), media_type="text/event-stream", headers=headers)


async def _line(request: Request) -> Response:
    source: PageSource = request.app.state.source
    wanted = await _small_json(request)
    if not isinstance(wanted, dict) or not isinstance(wanted.get("cut"), bool):
        return JSONResponse({"error": 'send {"cut": true} or {"cut": false}'}, 422)
    source.cut(wanted["cut"])
    return Response(status_code=204)


async def _small_json(request: Request) -> object:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY_BYTES:
            return None
    try:
        return json.loads(body)
    except ValueError:
        return None
