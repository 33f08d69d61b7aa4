"""Speak to the running node through its control socket: HTTP over a Unix socket, standard library only."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.cli.places import DEMO_STATE
from gateway.errors import GatewayError
from gateway.runtime.files import short_path

CONNECT_TIMEOUT_S = 3.0
REPLY_TIMEOUT_S = 30.0


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection whose address is a socket file."""

    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._reply_timeout_s = timeout_s

    def connect(self) -> None:
        """Open the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_TIMEOUT_S)
        with short_path(self._path) as name:
            self.sock.connect(name)
        self.sock.settimeout(self._reply_timeout_s)


class NoNodeError(GatewayError):
    """Nobody answers on the control socket."""

    def __init__(self, path: Path, reason: str) -> None:
        hint = (
            "start one with `gateway run` (or `scripts/start`), or name its directory with --state"
        )
        if path.parent != DEMO_STATE and (DEMO_STATE / path.name).exists():
            hint = f"a demo runs here: add --state {DEMO_STATE}; else {hint}"
        super().__init__(
            f"no running gateway answers at {path} ({reason})", code="GW-1801", hint=hint
        )


def _connection(state_dir: Path, timeout_s: float | None) -> _UnixConnection:
    connection = _UnixConnection(state_dir / "control.sock", timeout_s)
    try:
        connection.connect()
    except OSError as error:
        connection.close()
        raise NoNodeError(state_dir / "control.sock", error.strerror or str(error)) from error
    return connection


def ask(state_dir: Path, method: str, path: str, body: object = None) -> Any:
    """Send one request and return the parsed JSON reply (None for an empty one).

    Raises NoNodeError when nobody listens, GatewayError with the node's own code and hint when it refuses.
    """
    connection = _connection(state_dir, REPLY_TIMEOUT_S)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        reply = connection.getresponse()
        raw = reply.read()
    except OSError as error:
        raise NoNodeError(state_dir / "control.sock", str(error)) from error
    finally:
        connection.close()
    parsed = json.loads(raw) if raw else None
    if reply.status >= http.client.BAD_REQUEST:
        raise _refused(reply.status, parsed)
    return parsed


def _refused(status: int, parsed: Any) -> GatewayError:
    fault = parsed if isinstance(parsed, dict) else {}
    return GatewayError(
        str(fault.get("error", f"the gateway answered {status}")),
        code=str(fault.get("code", "GW-1802")),
        hint=str(fault.get("hint", "look at `gateway logs`")),
    )


def stream(state_dir: Path, path: str) -> Iterator[tuple[str, str]]:
    """Yield (event, data) of a server-sent event stream until the node ends it."""
    connection = _connection(state_dir, None)
    try:
        connection.request("GET", path, headers={"Accept": "text/event-stream"})
        reply = connection.getresponse()
        if reply.status >= http.client.BAD_REQUEST:
            raise _refused(reply.status, json.loads(reply.read() or b"{}"))
        event, data = "message", ""
        while line := reply.readline():
            text = line.decode().rstrip("\r\n")
            if not text:
                if data:
                    yield event, data
                event, data = "message", ""
            elif text.startswith("event:"):
                event = text[6:].strip()
            elif text.startswith("data:"):
                data += text[5:].strip()
    finally:
        connection.close()
