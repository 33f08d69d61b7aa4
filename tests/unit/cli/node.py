"""A small program that answers on a control socket as a node does."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

STATUS: dict[str, Any] = {
    "node": {
        "uuid": "6f1c2b1e-0000-4000-8000-000000000001",
        "name": "shed",
        "version": "0.1.0",
        "demo": False,
        "uptime_s": 3725,
        "started_ms": 0,
    },
    "devices": [
        {
            "uuid": "6f1c2b1e-0000-4000-8000-000000000002",
            "slug": "greenhouse-1",
            "name": "Greenhouse",
            "driver": "line-json",
            "link": "usb0",
            "values": {"temperature": {"value": 21.300000001, "unit": "Cel", "at_ms": 1}},
            "last_seen_ms": 1,
            "availability": "online",
            "demo": False,
        }
    ],
    "uplink": {
        "state": "offline",
        "parent": "cloud.example:8883",
        "since_ms": 1,
        "reason": "no route",
        "depth_records": 12,
        "depth_bytes": 3400,
        "oldest_s": 61,
        "taken": 5,
        "refused": 0,
    },
    "children": [
        {
            "node": "c0ffee",
            "owner": None,
            "online": True,
            "last_seen_ms": 1,
            "backlog": 0,
            "refused": 2,
            "duplicates": 0,
        }
    ],
    "parked": [],
    "links": [{"name": "usb0", "state": "open", "reason": "", "hint": ""}],
    "ports": [],
    "broker": {},
    "mqtt": {"listeners": ["127.0.0.1:1883"]},
    "http": {"listeners": ["127.0.0.1:8080"]},
}

Answers = Mapping[str, Any]


class ControlSocket:
    """Answers requests from a table "METHOD path" -> JSON (or (status, JSON), or a list of events)."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []


@contextmanager
def answering(state: Path, answers: Answers) -> Iterator[ControlSocket]:
    """Listen on `<state>/control.sock` within the block."""
    control = ControlSocket(answers)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            request = f"{self.command} {self.path}"
            control.asked.append((request, body))
            found = answers[request]
            if isinstance(found, bytes):
                self.reply(200, found, "text/event-stream")
            else:
                status, value = found if isinstance(found, tuple) else (200, found)
                self.reply(status, json.dumps(value).encode(), "application/json")

        def reply(self, status: int, raw: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = answer  # noqa: N815 - named by http.server
        do_POST = answer  # noqa: N815

        def address_string(self) -> str:
            return "operator"

        def log_message(self, *args: Any) -> None:
            """Stay quiet."""

    state.mkdir(parents=True, exist_ok=True)
    with ThreadingUnixStreamServer(str(state / "control.sock"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield control
        finally:
            server.shutdown()
            thread.join()


def events(*rows: tuple[str, Any]) -> bytes:
    """Return a stream of server-sent events."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in rows).encode()
