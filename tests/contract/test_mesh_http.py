"""The HTTP face against specification sections 4 and 5: statuses, bodies, headers, credential forms."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.mesh.http.app import ROUTES, mesh_app
from gateway.mesh.http.call import MOST_BODY_BYTES
from gateway.mesh.registration import RegistrationMode
from gateway.model import DeviceUuid
from tests.fakes.mesh_node import MeshNode, device_uuid
from tests.fakes.waiting import eventually

A, B, C = (device_uuid(n) for n in range(1, 4))
NOT_FOUND = {"code": 404, "message": "Devices not found"}


def basic(uuid: str, token: str, scheme: str = "Basic") -> dict[str, str]:
    return {"Authorization": f"{scheme} " + base64.b64encode(f"{uuid}:{token}".encode()).decode()}


AUTH_A, AUTH_B = basic(A, "ta"), basic(B, "tb")


@pytest.fixture
async def node() -> MeshNode:
    node = MeshNode()
    await node.add(1, "ta", discoverWhitelist=[A], configureWhitelist=[A], sendWhitelist=["*"])
    await node.add(2, "tb")
    return node


@pytest.fixture
async def http(node: MeshNode) -> AsyncIterator[httpx.AsyncClient]:
    app = mesh_app(node.mesh.http_face("1.2.3"))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://mesh") as client:
        yield client


def assert_job(response: httpx.Response, code: int, body: Any = ...) -> None:
    assert response.status_code == code, response.text
    assert response.headers["x-meshblu-code"].isdecimal()
    assert response.headers["x-meshblu-status"]
    assert len(response.headers["x-meshblu-response-id"]) == 36
    assert response.headers["access-control-allow-origin"] == "*"
    if code == 204:
        assert response.content == b""
    else:
        assert response.headers["content-type"] == "application/json"
        if body is not ...:
            assert response.json() == body


@pytest.mark.parametrize("path", ["/ping", "/healthcheck", "/proofoflife"])
async def test_health_is_told_to_everybody(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert (response.status_code, response.json()) == (200, {"online": True})


async def test_version_and_status(http: httpx.AsyncClient) -> None:
    assert (await http.get("/version")).json() == {"version": "1.2.3"}
    assert_job(await http.get("/status"), 200, {"meshblu": "online"})


@pytest.mark.parametrize(
    "headers",
    [
        AUTH_A,
        basic(A, "ta", "Bearer"),
        basic(A.upper(), "ta", "whatever"),
        basic(f" {A} ", " ta "),
        {"meshblu_auth_uuid": A, "meshblu_auth_token": " ta "},
        {"skynet_auth_uuid": A, "skynet_auth_token": "ta"},
        {"X-Meshblu-UUID": A, "X-Meshblu-Token": "ta"},
        {"Authorization": "Basic ???", "X-Meshblu-UUID": A, "X-Meshblu-Token": "ta"},
        {**AUTH_A, "X-Meshblu-UUID": B, "X-Meshblu-Token": "wrong"},
    ],
)
async def test_every_credential_form_is_taken_the_first_one_wins(
    http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert_job(await http.post("/authenticate", headers=headers), 204)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(A, "tb"),
        basic(A, ""),
        basic(C, "ta"),
        {"Authorization": A},
        {"Authorization": "Basic"},
        {"Authorization": "Basic \u00e9"},
        {"meshblu_auth_uuid": A},
        {"X-Meshblu-UUID": A, "X-Meshblu-Token": ""},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        (route.method, route.path.format(uuid=A, token="x"))
        for route in ROUTES
        if route.needs_login and route.path not in ("/devices/{uuid}", "/v2/devices/{uuid}")
    ]
    + [("PUT", f"/devices/{A}"), ("PATCH", f"/v2/devices/{A}"), ("DELETE", f"/devices/{A}")],
)
async def test_missing_or_wrong_credentials_are_403_null(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    body = None if method in ("GET", "DELETE") else {"devices": [B]}
    response = await http.request(method, path, headers=raw, json=body)
    assert_job(response, 403, None)


@pytest.mark.parametrize("path", ["/devices/", "/v2/devices/"])
@pytest.mark.parametrize(("uuid", "headers"), [(A, {}), (A, AUTH_B), (C, AUTH_B), ("x", AUTH_B)])
async def test_missing_and_forbidden_devices_look_alike(
    http: httpx.AsyncClient, path: str, uuid: str, headers: dict[str, str]
) -> None:
    assert_job(await http.get(path + uuid, headers=headers), 404, NOT_FOUND)


async def test_a_device_is_read_in_three_shapes(http: httpx.AsyncClient, node: MeshNode) -> None:
    document = node.devices.documents[A]
    assert_job(await http.get(f"/devices/{A}", headers=AUTH_A), 200, {"devices": [document]})
    assert_job(await http.get(f"/v2/devices/{A.upper()}", headers=AUTH_A), 200, document)
    assert_job(await http.get(f"/v3/devices/{A}", headers=AUTH_A), 200, document)
    assert_job(await http.get("/v2/whoami", headers=AUTH_A), 200, document)
    assert_job(await http.get(f"/v3/devices/{C}", headers=AUTH_A), 403, None)


async def test_a_token_is_checked_by_query(http: httpx.AsyncClient) -> None:
    good = await http.get(f"/authenticate/{A}", params={"token": "ta"})
    assert (good.status_code, good.json()) == (200, {"uuid": A, "authentication": True})
    for query in ({"token": "tb"}, {}):
        bad = await http.get(f"/authenticate/{A}", params=query)
        assert (bad.status_code, bad.content) == (403, b"")


async def test_registering_returns_document_and_token(
    http: httpx.AsyncClient, node: MeshNode
) -> None:
    response = await http.post("/devices", json={"type": "drone", "uuid": "x"})
    assert_job(response, 201)
    document = response.json()
    login = basic(document["uuid"], document["token"])
    assert_job(await http.post("/authenticate", headers=login), 204)
    form = await http.post("/devices", data={"type": "drone"})
    assert form.json()["type"] == "drone"
    assert_job(await http.post("/devices", json=[1]), 201)
    assert_job(await http.post("/devices"), 201)


async def test_registration_by_code_tells_why_it_is_refused() -> None:
    node = MeshNode(RegistrationMode.CODE)
    app = mesh_app(node.mesh.http_face("1"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://mesh"
    ) as http:
        refused = await http.post("/devices", json={"type": "x"})
        assert_job(refused, 403, None)
        assert "registrationCode" in json.loads(refused.headers["x-meshblu-error"])["message"]
        code = node.mesh.registration.new_code()
        made = await http.post("/devices", json={"type": "x", "registrationCode": code})
        assert_job(made, 201)
        login = basic(made.json()["uuid"], made.json()["token"])
        by_login = await http.post("/devices", json={}, headers=login)
        assert by_login.json()["owner"] == made.json()["uuid"]


@pytest.mark.parametrize(("method", "path"), [("PUT", "/devices/"), ("PATCH", "/v2/devices/")])
async def test_fields_are_set(
    http: httpx.AsyncClient, node: MeshNode, method: str, path: str
) -> None:
    fields = {"color": "red", "a.b": 1, "uuid": "x", "token": "x"}
    assert_job(await http.request(method, path + A, json=fields, headers=AUTH_A), 204)
    assert node.devices.documents[A]["color"] == "red"
    assert node.devices.documents[A]["a"] == {"b": 1}
    assert node.devices.documents[A]["uuid"] == A
    response = await http.request(method, path + A, json=[1], headers=AUTH_A)
    assert (response.status_code, response.json()) == (422, {"message": "Invalid Request"})
    empty = await http.request(method, path + A, json={}, headers=AUTH_A)
    assert_job(empty, 422, None)
    assert "x-meshblu-error" in empty.headers


async def test_operators_change_a_device(http: httpx.AsyncClient, node: MeshNode) -> None:
    url = f"/v2/devices/{A}"
    push = {"$push": {"errors": {"$each": [{"code": 1}], "$slice": -99}}}
    assert_job(await http.put(url, json=push, headers=AUTH_A), 204)
    assert node.devices.documents[A]["errors"] == [{"code": 1}]
    refused = await http.put(url, json={"name": "x"}, headers=AUTH_A)
    assert_job(refused, 422, {"error": "Update query may only contain authorized keys."})
    assert_job(await http.put(url, headers=AUTH_A), 422)


async def test_unregistering(http: httpx.AsyncClient) -> None:
    assert_job(await http.delete(f"/devices/{A}", headers=AUTH_B), 403, None)
    assert_job(await http.delete(f"/devices/{A}", headers=AUTH_A), 200, {"uuid": A})
    assert_job(await http.post("/authenticate", headers=AUTH_A), 403, None)


async def test_tokens_are_made_and_revoked(http: httpx.AsyncClient) -> None:
    url = f"/devices/{A}/tokens"
    plain = await http.post(url, headers=AUTH_A)
    tagged = await http.post(url, json={"tag": "x"}, headers=AUTH_A)
    assert_job(plain, 201)
    assert_job(tagged, 201)
    assert set(plain.json()) == {"uuid", "token"}
    assert tagged.json()["tag"] == "x"
    by_plain, by_tagged = (basic(A, made.json()["token"]) for made in (plain, tagged))
    revoked = await http.delete(f"{url}/{plain.json()['token']}", headers=AUTH_A)
    assert_job(revoked, 204)
    assert_job(await http.post("/authenticate", headers=by_plain), 403)
    assert_job(await http.delete(url, params={"tag": "x"}, headers=by_tagged), 204)
    assert_job(await http.post("/authenticate", headers=by_tagged), 403)
    everything = await http.delete(url, headers=AUTH_A)
    assert_job(everything, 422, None)
    assert "x-meshblu-error" in everything.headers
    reset = await http.post(f"/devices/{A}/token", headers=AUTH_A)
    assert_job(reset, 200)
    assert_job(await http.post("/authenticate", headers=AUTH_A), 403)
    assert_job(await http.post("/authenticate", headers=basic(A, reset.json()["token"])), 204)


async def test_public_keys(http: httpx.AsyncClient, node: MeshNode) -> None:
    await node.add(3, publicKey="PEM")
    key = await http.get(f"/devices/{C}/publickey")
    assert_job(key, 200, {"uuid": C, "publicKey": "PEM"})
    assert_job(await http.get(f"/devices/{A}/publickey"), 200, {"uuid": A})
    assert_job(await http.get(f"/devices/{device_uuid(9)}/publickey"), 404, None)
    assert_job(await http.get("/publickey"), 204)


@pytest.mark.parametrize("body", [{"payload": 1}, {"devices": []}, {"devices": 7}, [1], None])
async def test_a_message_for_nobody_is_422_null(http: httpx.AsyncClient, body: Any) -> None:
    assert_job(await http.post("/messages", json=body, headers=AUTH_A), 422, None)


async def test_messages_and_broadcasts_are_accepted_and_sent(
    http: httpx.AsyncClient, node: MeshNode
) -> None:
    assert_job(await http.post("/messages", json={"devices": [C]}, headers=AUTH_B), 204)
    assert_job(await http.post("/messages", json={"devices": "*"}, headers=AUTH_B), 204)
    assert_job(await http.post("/broadcasts", json={"topic": "x"}, headers=AUTH_B), 204)
    broadcast = await http.post("/broadcasts", json=[1], headers=AUTH_B)
    assert broadcast.status_code == 422
    ((sent, waiting),) = node.spooled
    assert waiting
    assert sent.sender == B
    assert json.loads(sent.body)["devices"] == [C]


async def test_a_message_that_goes_up_is_acknowledged_when_it_is_durable(
    http: httpx.AsyncClient, node: MeshNode
) -> None:
    node.is_slow = True
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(http.post("/messages", json={"devices": [C]}, headers=AUTH_B))
        await eventually(lambda: node.spooled)
        await asyncio.sleep(0.02)
        assert not sending.done()
        node.mesh.settling.settled(1)
    assert_job(sending.result(), 204)


async def grant(node: MeshNode, name: str, uuid: DeviceUuid) -> None:
    """Let `uuid` act as A by one list."""
    group, entry = name.split(".")
    document = node.devices.documents[A]
    document["meshblu"] = {
        "version": "2.0.0",
        "whitelists": {group: {entry: [{"uuid": uuid}]}},
    }
    node.mesh.access.invalidate(A)


async def test_sending_as_another_device_needs_message_as(
    http: httpx.AsyncClient, node: MeshNode
) -> None:
    as_a = {**AUTH_B, "x-meshblu-as": A}
    to_c = {"devices": [C]}
    assert_job(await http.post("/messages", json=to_c, headers=as_a), 403, None)
    await grant(node, "message.as", B)
    assert_job(await http.post("/messages", json=to_c, headers=as_a), 204)
    assert node.spooled[0][0].sender == A
    assert_job(await http.post("/broadcasts", json={}, headers=as_a), 403, None)
    await grant(node, "broadcast.as", B)
    assert_job(await http.post("/broadcasts", json={}, headers=as_a), 204)


async def test_reading_as_another_device_needs_discover_as(
    http: httpx.AsyncClient, node: MeshNode
) -> None:
    await node.add(3, discoverWhitelist=[A])
    as_a = {**AUTH_B, "x-meshblu-as": A}
    assert_job(await http.get(f"/v3/devices/{C}", headers=as_a), 403, None)
    await grant(node, "discover.as", B)
    assert_job(await http.get(f"/v3/devices/{C}", headers=as_a), 200)
    assert_job(await http.get(f"/v3/devices/{A}", headers=as_a), 403, None)
    own = {**AUTH_B, "x-meshblu-as": B}
    assert_job(await http.get("/v2/whoami", headers=own), 200)


@pytest.mark.parametrize("path", ["/devices", "/", "/nowhere", "/v2/devices/x"])
async def test_every_options_is_204_with_cors(http: httpx.AsyncClient, path: str) -> None:
    response = await http.options(path, headers={"Access-Control-Request-Headers": "x-a, x-b"})
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "*"
    assert "PATCH" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-headers"] == "x-a, x-b"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/data/x"),
        ("PUT", f"/claimdevice/{A}"),
        ("PATCH", f"/devices/{A}"),
        ("GET", "/messages"),
        ("GET", "/devices/a/b/c"),
    ],
)
async def test_whatever_is_not_listed_is_404(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await http.request(method, path, headers=AUTH_A)
    assert response.status_code == 404
    assert response.headers["access-control-allow-origin"] == "*"


async def test_head_is_answered_like_get(http: httpx.AsyncClient) -> None:
    assert (await http.head("/healthcheck")).status_code == 200


@pytest.mark.parametrize("body", [b"{", b"\xff", b"NaN", b"[" * 5000])
async def test_a_body_that_is_no_json_is_400(http: httpx.AsyncClient, body: bytes) -> None:
    response = await http.post("/messages", content=body, headers=AUTH_A)
    assert (response.status_code, response.json()) == (400, {"error": "The body is no JSON."})


async def test_a_body_above_10_mb_is_413_announced_or_not(http: httpx.AsyncClient) -> None:
    announced = {"content-length": str(MOST_BODY_BYTES + 1)}
    assert (await http.post("/messages", content=b"", headers=announced)).status_code == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1024 * 1024

    assert (await http.post("/messages", content=endless())).status_code == 413


async def test_a_full_disk_is_503_and_says_so(http: httpx.AsyncClient, node: MeshNode) -> None:
    node.is_full = True
    response = await http.post("/messages", json={"devices": [C]}, headers=AUTH_B)
    assert_job(response, 503, None)
    assert "GW-1503" in response.headers["x-meshblu-error"]


def test_the_route_table_names_each_route_once_with_a_sentence() -> None:
    keys = [(route.method, route.path) for route in ROUTES]
    assert len(set(keys)) == len(keys)
    assert all(route.summary.endswith((".", "?")) for route in ROUTES)
