"""The page's app: who is answered, what the policy allows, and the switch."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.web.app import PageSource, page_app


async def events() -> AsyncIterator[bytes]:
    yield b"event: snapshot\ndata: {}\n\n"


class Desk:
    """A page over a line that is only a flag."""

    def __init__(self, *, may_watch: bool = True, **more: Any) -> None:
        self.was_cut: list[bool] = []
        source = PageSource(
            lambda: {"devices": []}, events, lambda: may_watch, self.was_cut.append, **more
        )
        self.app = page_app(source)

    def client(self, peer: str = "127.0.0.1", host: str = "127.0.0.1:8080") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(peer, 50000))
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


async def test_the_root_leads_to_the_page():
    async with Desk().client() as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/ui")


async def test_the_page_names_its_own_script_and_nothing_else_in_its_policy():
    async with Desk(parent_page="http://127.0.0.1:18080").client() as client:
        answer = await client.get("/ui")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy
    assert "connect-src 'self' http://127.0.0.1:18080;" in policy
    assert '<meta name="parent" content="http://127.0.0.1:18080">' in answer.text
    assert "{{" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "192.168.1.5:8080"])
async def test_a_foreign_name_in_the_host_header_is_refused(host: str):
    async with Desk().client(host=host) as client:
        answer = await client.get("/ui/status")
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
async def test_local_names_are_answered(host: str):
    async with Desk().client(host=host) as client:
        answer = await client.get("/ui/status")
    assert answer.json() == {"devices": []}


async def test_another_machine_is_refused_and_told_about_the_tunnel():
    async with Desk().client(peer="192.168.1.9") as client:
        answer = await client.get("/ui")
    assert answer.status_code == 403
    assert "ssh -L" in answer.text


async def test_the_switch_cuts_and_mends_the_line():
    desk = Desk()
    async with desk.client() as client:
        for cut in (True, False):
            answer = await client.post("/ui/line", json={"cut": cut}, headers={"X-Gateway": "page"})
            assert answer.status_code == 204
    assert desk.was_cut == [True, False]


async def test_a_foreign_page_cannot_throw_the_switch():
    desk = Desk()
    async with desk.client() as client:
        answer = await client.post("/ui/line", json={"cut": True})
    assert answer.status_code == 403
    assert desk.was_cut == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"cut":1}', b"{", b'{"cut":true,"x":"' + b"y" * 5000]
)
async def test_nonsense_on_the_switch_is_answered_422(body: bytes):
    desk = Desk()
    async with desk.client() as client:
        answer = await client.post("/ui/line", content=body, headers={"X-Gateway": "page"})
    assert answer.status_code == 422
    assert desk.was_cut == []


async def test_the_stream_is_an_event_stream_and_readable_only_by_the_page_named():
    async with Desk(child_page="http://127.0.0.1:8080").client() as client:
        answer = await client.get("/ui/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:8080"
    assert answer.text.startswith("event: snapshot")


async def test_without_a_named_page_no_other_origin_may_read():
    async with Desk().client() as client:
        answer = await client.get("/ui/status")
    assert "access-control-allow-origin" not in answer.headers


async def test_too_many_viewers_are_told_to_close_a_tab():
    async with Desk(may_watch=False).client() as client:
        answer = await client.get("/ui/events")
    assert answer.status_code == 503
