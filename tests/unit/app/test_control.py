"""The control socket's routes: names reach operations, faults come back with code and hint."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.app.control import OPERATIONS, control_app
from gateway.errors import ConfigError


class Desk:
    """Operations that write down what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def status(self) -> dict[str, Any]:
        return {"node": {}}

    async def events(self) -> AsyncIterator[bytes]:
        yield b"event: snapshot\ndata: {}\n\n"

    def log_tail(self, count: int) -> list[str]:
        return ["line"] * count

    async def log_stream(self) -> AsyncIterator[bytes]:
        yield b'event: line\ndata: "x"\n\n'

    def trace(self, arguments: Any) -> AsyncIterator[bytes]:
        if "topic" in arguments:
            raise ConfigError("no filter", code="GW-1139", hint="write one")
        self.asked.append(("trace", dict(arguments)))
        return self.log_stream()

    async def perform(self, operation: str, arguments: Any) -> object:
        self.asked.append((operation, dict(arguments)))
        if operation == "join":
            raise ConfigError("no such parent", code="GW-1606", hint="invite again")
        return {"done": operation}


def client(desk: Desk) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(control_app(desk))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
async def test_each_route_reaches_its_operation(method: str, path: str, operation: str):
    desk = Desk()
    async with client(desk) as asked:
        await asked.request(method, path.replace("{uuid}", "u-1"), json={"a": 1})
    name, arguments = desk.asked[0]
    assert name == operation
    assert arguments["a"] == 1
    assert ("uuid" in arguments) is ("{uuid}" in path)


async def test_a_fault_carries_code_and_hint():
    async with client(Desk()) as asked:
        answer = await asked.post("/join", json={"line": "x"})
    assert answer.status_code == 409
    assert answer.json() == {"error": "no such parent", "code": "GW-1606", "hint": "invite again"}


@pytest.mark.parametrize("body", [b"{", b"[1]", b'"x"'])
async def test_a_body_that_is_no_object_is_refused_with_its_code(body: bytes):
    desk = Desk()
    async with client(desk) as asked:
        answer = await asked.post("/line", content=body)
    assert answer.json()["code"] == "GW-1811"
    assert desk.asked == []


async def test_status_logs_and_streams_are_served():
    async with client(Desk()) as asked:
        assert (await asked.get("/status")).json() == {"node": {}}
        assert (await asked.get("/logs?tail=2")).json() == ["line", "line"]
        assert (await asked.get("/logs?tail=many")).json() == ["line"] * 50
        assert (await asked.get("/events")).text.startswith("event: snapshot")
        assert (await asked.get("/logs/stream")).text.startswith("event: line")


async def test_a_query_is_an_argument_too():
    desk = Desk()
    async with client(desk) as asked:
        await asked.get("/broker/retained?filter=a%2F%23")
    assert desk.asked == [("broker-retained", {"filter": "a/#"})]


async def test_a_trace_is_a_stream_or_a_fault_before_it_begins():
    desk = Desk()
    async with client(desk) as asked:
        stream = await asked.get("/broker/trace?identity=anna&payload=1")
        fault = await asked.get("/broker/trace?topic=x")
    assert stream.text.startswith("event: line")
    assert desk.asked == [("trace", {"identity": "anna", "payload": "1"})]
    assert (fault.status_code, fault.json()["code"]) == (409, "GW-1139")
