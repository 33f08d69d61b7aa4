"""Meshblu over MQTT, on a broker in a list: requests, frames, subscriptions, refusals, revocation."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.mesh.authenticator import MOST_TOKEN_BYTES
from gateway.mesh.core.outcome import Job, JobType
from gateway.mesh.outlet import CONFIG_GAP_S
from gateway.model import DeviceUuid
from gateway.mqtt.ports import CONSUMED, ROUTED, Consumed, PrincipalKind, Refused, Rejected
from tests.fakes.mesh_broker import MemoryBroker, MemorySession
from tests.fakes.mesh_node import INVITATION, MeshNode, device_uuid, working
from tests.fakes.waiting import eventually

A, B, C = (device_uuid(n) for n in range(1, 4))


class Net:
    """A working mesh with its broker, and clients by device."""

    def __init__(self, node: MeshNode) -> None:
        self.node = node
        self.broker = MemoryBroker(node.mesh.authenticator)
        self.face = node.mesh.serve_mqtt(self.broker)
        self.broker.on_refused = self.face.refused

    async def login(self, username: str | None, password: str | None) -> Any:
        answers: list[Any] = []
        self.broker.connect(username, password, answers.append)
        await eventually(lambda: answers)
        return answers[0]

    async def session(self, uuid: DeviceUuid, token: str) -> MemorySession:
        session = await self.login(uuid, token)
        assert isinstance(session, MemorySession)
        return session

    async def subscribe(self, session: MemorySession, topic: str, qos: int = 0) -> int:
        answers: list[int] = []
        self.broker.subscribe_to(session, topic, answers.append, qos)
        await eventually(lambda: answers)
        return answers[0]

    async def ask(self, session: MemorySession, topic: str, payload: Any) -> dict[str, Any]:
        before = len(session.frames)
        self.broker.send(session, topic, payload)
        await eventually(lambda: len(session.frames) > before)
        uuid, frame, _qos = session.frames[-1]
        assert uuid == session.principal.name
        return frame


@pytest.fixture
async def net() -> AsyncIterator[Net]:
    async with working(MeshNode()) as node:
        await node.add(1, "ta", discoverWhitelist=["*"], sendWhitelist=["*"])
        await node.add(2, "tb", sendWhitelist=["*"])
        yield Net(node)


async def test_a_device_logs_in_with_its_token(net: Net) -> None:
    session = await net.session(DeviceUuid(A.upper()), "ta")
    assert (session.principal.kind, session.principal.name) == (PrincipalKind.DEVICE, A)
    assert net.face.sessions_of(A) == 1
    net.broker.disconnect(session)
    assert net.face.sessions_of(A) == 0


@pytest.mark.parametrize(
    ("uuid", "token"),
    [(A, "tb"), (A, ""), (A, None), (C, "ta"), (A, "x" * (MOST_TOKEN_BYTES + 1)), (A, "é")],
)
async def test_wrong_credentials_are_refused(net: Net, uuid: str, token: str | None) -> None:
    answer = await net.login(uuid, token)
    assert isinstance(answer, Rejected)
    assert answer.code == 4


async def test_logins_of_one_tick_are_one_query(net: Net) -> None:
    answers: list[Any] = []
    for uuid, token in ((A, "ta"), (B, "tb"), (C, "tc"), (A, "no")):
        net.broker.connect(uuid, token, answers.append)
    await eventually(lambda: len(answers) == 4)
    assert net.node.devices.queries == [[A, B, C]]
    assert sum(isinstance(answer, MemorySession) for answer in answers) == 2


async def test_user_names_are_judged_elsewhere_and_topics_are_theirs(net: Net) -> None:
    user = await net.login("anna", "secret")
    assert user.principal.kind is PrincipalKind.USER
    net.broker.send(user, "message", {})
    net.broker.send(user, "whoami", {})
    assert user.verdicts == [ROUTED, ROUTED]
    assert await net.subscribe(user, A) == 128


async def test_a_child_logs_in_as_child_and_joins_by_invitation(net: Net) -> None:
    net.node.children[B] = A
    assert (await net.session(A, "ta")).principal.kind is PrincipalKind.CHILD
    joining = await net.session(C, INVITATION)
    assert joining.principal.kind is PrincipalKind.CHILD


async def test_a_session_that_is_joining_may_do_nothing_in_the_name_of_its_uuid(net: Net) -> None:
    joining = await net.session(C, INVITATION)
    for topic in ("whoami", "update", "message", "resetToken"):
        net.broker.send(joining, topic, {"devices": [A], "callbackId": "1"})
    assert [type(verdict) for verdict in joining.verdicts] == [Refused] * 4
    assert await net.subscribe(joining, C) == 128
    assert await net.subscribe(joining, A) == 128


async def test_whoami_answers_with_the_request(net: Net) -> None:
    session = await net.session(A, "ta")
    frame = await net.ask(session, "whoami", {"callbackId": "1"})
    assert frame["topic"] == "whoami"
    assert frame["data"]["uuid"] == A
    assert frame["_request"] == {"callbackId": "1"}


async def test_answers_reach_the_asking_session_only(net: Net) -> None:
    session, twin = await net.session(A, "ta"), await net.session(A, "ta")
    for each in (session, twin):
        await net.subscribe(each, A)
    await net.ask(session, "whoami", {})
    assert twin.frames == []


async def test_update_sets_fields_of_itself_and_of_others_that_allow_it(net: Net) -> None:
    session = await net.session(A, "ta")
    frame = await net.ask(session, "update", {"callbackId": "1", "token": "no", "color": "red"})
    assert (frame["topic"], frame["data"]) == ("update", {})
    document = net.node.devices.documents[A]
    assert document["color"] == "red"
    assert "token" not in document
    assert "callbackId" not in document
    frame = await net.ask(session, "update", {"uuid": B, "color": "red"})
    assert frame["data"] == {"message": "update failed: Forbidden"}
    await net.node.add(3, configureWhitelist=[A])
    assert (await net.ask(session, "update", {"uuid": C, "color": "red"}))["topic"] == "update"
    frame = await net.ask(session, "update", {"callbackId": "1"})
    assert frame["topic"] == "error"


async def test_requests_of_one_session_are_answered_in_order(net: Net) -> None:
    session = await net.session(A, "ta")
    for number in range(20):
        net.broker.send(session, "update", {"n": number})
        net.broker.send(session, "whoami", {})
    await eventually(lambda: len(session.data("whoami")) == 20)
    assert [document["n"] for document in session.data("whoami")] == list(range(20))


async def test_tokens_keys_and_resets_work_on_others_that_allow_it(net: Net) -> None:
    await net.node.add(3, "tc", configureWhitelist=[A], publicKey="PEM")
    session = await net.session(A, "ta")
    made = await net.ask(session, "generateAndStoreToken", {"uuid": C, "tag": "x"})
    assert made["data"]["tag"] == "x"
    assert (await net.session(C, made["data"]["token"])).principal.name == C
    key = await net.ask(session, "getPublicKey", {"uuid": C})
    assert key["data"] == {"uuid": C, "publicKey": "PEM"}
    reset = await net.ask(session, "resetToken", {"uuid": C})
    assert isinstance(await net.login(C, "tc"), Rejected)
    assert (await net.session(C, reset["data"]["token"])).principal.name == C


async def test_who_resets_its_own_token_is_answered_and_stays(net: Net) -> None:
    session, twin = await net.session(A, "ta"), await net.session(A, "ta")
    frame = await net.ask(session, "resetToken", {})
    assert frame["data"]["uuid"] == A
    assert session.kicked is None
    assert twin.kicked == "token revoked"
    again = await net.session(A, frame["data"]["token"])
    await net.ask(again, "resetToken", {})
    assert session.kicked == "token revoked"


@pytest.mark.parametrize("payload", [b"{", b"7", b"\xff", b"[" * 1000, b'{"a":NaN}'])
@pytest.mark.parametrize("topic", ["whoami", "message"])
async def test_a_malformed_payload_is_answered_with_an_error(
    net: Net, topic: str, payload: bytes
) -> None:
    session = await net.session(A, "ta")
    frame = await net.ask(session, topic, payload)
    assert frame == {
        "topic": "error",
        "data": {"message": "The payload is no JSON object"},
        "_request": {},
    }
    assert session.verdicts == [CONSUMED]


async def test_a_message_reaches_its_receivers_subscribed_sessions_once(net: Net) -> None:
    sender = await net.session(A, "ta")
    receivers = [await net.session(B, "tb") for _ in range(2)]
    silent = await net.session(B, "tb")
    for receiver in receivers:
        assert await net.subscribe(receiver, B, qos=1) == 1
    content = {"devices": [B], "payload": "hi", "callbackId": "9", "fromUuid": B}
    net.broker.send(sender, "message", content, qos=1)
    await eventually(lambda: all(receiver.frames for receiver in receivers))
    expected = {"topic": "message", "data": content | {"fromUuid": A}}
    assert [receiver.frames for receiver in receivers] == [[(B, expected, 1)]] * 2
    assert silent.frames == []
    assert sender.frames == []
    assert sender.verdicts == [Consumed(0)]


async def test_a_message_for_devices_above_is_settled_with_the_spool(net: Net) -> None:
    sender = await net.session(A, "ta")
    net.broker.send(sender, "message", {"devices": [C]}, qos=1)
    await eventually(lambda: sender.verdicts)
    assert sender.verdicts == [Consumed(1)]
    assert net.node.spooled[0][1] is True


async def test_a_message_to_nobody_is_answered_with_an_error(net: Net) -> None:
    sender = await net.session(A, "ta")
    frame = await net.ask(sender, "message", {"payload": 1})
    assert frame["data"] == {"message": "message failed: Unprocessable Entity"}


async def test_a_message_that_cannot_be_kept_is_refused_with_an_error(net: Net) -> None:
    net.node.is_full = True
    sender = await net.session(A, "ta")
    net.broker.send(sender, "message", {"devices": [C]}, qos=1)
    await eventually(lambda: sender.verdicts)
    (verdict,) = sender.verdicts
    assert isinstance(verdict, Refused)
    (error,) = sender.data("error")
    assert error["message"].startswith("message failed: GW-1503")


async def test_nobody_publishes_on_a_uuids_topic(net: Net) -> None:
    session, victim = await net.session(A, "ta"), await net.session(B, "tb")
    await net.subscribe(victim, B)
    for topic in (A, B):
        net.broker.send(session, topic, {"topic": "config", "data": {}})
    assert all(isinstance(verdict, Refused) for verdict in session.verdicts)
    assert session.data("error") == [
        {"message": f"Topic '{topic}' is not valid"} for topic in (A, B)
    ]
    assert victim.frames == []


async def test_another_devices_broadcasts_are_heard_by_who_is_listed(net: Net) -> None:
    await net.node.add(3, "tc", receiveWhitelist=[A])
    watcher, other = await net.session(A, "ta"), await net.session(B, "tb")
    assert await net.subscribe(watcher, C) == 0
    assert await net.subscribe(other, C) == 128
    assert await net.subscribe(watcher, B) == 128
    assert await net.subscribe(watcher, device_uuid(99)) == 128
    speaker = await net.session(C, "tc")
    net.broker.send(speaker, "message", {"devices": "*", "payload": 1})
    await eventually(lambda: watcher.frames)
    assert [(uuid, frame["data"]["fromUuid"]) for uuid, frame, _ in watcher.frames] == [(C, C)]
    net.broker.unsubscribe_from(watcher, C)
    net.broker.send(speaker, "message", {"devices": "*", "payload": 2})
    assert len(watcher.frames) == 1
    assert other.frames == []


async def test_a_listener_that_is_no_longer_listed_hears_no_more(net: Net) -> None:
    await net.node.add(3, "tc", receiveWhitelist=[A])
    watcher, speaker = await net.session(A, "ta"), await net.session(C, "tc")
    await net.subscribe(watcher, C)
    await net.ask(speaker, "update", {"receiveWhitelist": []})
    net.broker.send(speaker, "message", {"devices": "*"})
    await net.ask(speaker, "whoami", {})
    assert watcher.frames == []


async def test_a_config_event_tells_the_whole_document_and_the_newest_of_a_burst(net: Net) -> None:
    session, other = await net.session(A, "ta"), await net.session(A, "ta")
    await net.subscribe(other, A)
    for number in range(5):
        await net.ask(session, "update", {"n": number})
    await eventually(lambda: len(other.data("config")) == 2)
    assert [document["n"] for document in other.data("config")] == [0, 4]
    assert other.data("config")[1]["uuid"] == A
    await asyncio.sleep(CONFIG_GAP_S / 4)
    assert len(other.data("config")) == 2


async def test_an_update_that_changes_nothing_is_no_event(net: Net) -> None:
    session = await net.session(A, "ta")
    await net.subscribe(session, A)
    frame = await net.ask(session, "update", {"discoverWhitelist": ["*"]})
    assert frame["topic"] == "update"
    assert session.data("config") == []


async def test_a_revoked_token_ends_the_sessions_that_came_by_it(net: Net) -> None:
    job = Job(JobType.CREATE_TOKEN, auth=A, target=A, data={"tag": "x"})
    token = (await net.node.mesh.runner.run(job)).data["token"]
    by_root, by_session = await net.session(A, "ta"), await net.session(A, token)
    await net.node.mesh.runner.run(Job(JobType.REVOKE_TOKEN, auth=A, target=A, data=token))
    assert by_session.kicked == "token revoked"
    assert by_root.kicked is None
    assert isinstance(await net.login(A, token), Rejected)


async def test_unregistering_ends_every_session_and_every_attachment(net: Net) -> None:
    await net.node.add(3, "tc", receiveWhitelist=["*"])
    watcher = await net.session(A, "ta")
    await net.subscribe(watcher, C)
    session = await net.session(C, "tc")
    await net.subscribe(session, C)
    await net.node.mesh.runner.run(Job(JobType.UNREGISTER, auth=C, target=C))
    assert session.kicked == "unregistered"
    assert watcher.kicked is None
    assert C not in net.node.mesh.attachments
    assert isinstance(await net.login(C, "tc"), Rejected)


async def test_a_full_job_queue_parks_the_client_instead_of_losing_requests(net: Net) -> None:
    session = await net.session(A, "ta")
    for _ in range(1000):
        net.broker.send(session, "whoami", {})
    await eventually(lambda: len(session.data("whoami")) == 1000)


async def test_the_will_of_a_lost_session_is_a_message_that_of_a_revoked_one_is_not(
    net: Net,
) -> None:
    receiver = await net.session(B, "tb")
    await net.subscribe(receiver, B)
    lost, revoked = await net.session(A, "ta"), await net.session(A, "ta")
    lost.will = ("message", {"devices": [B], "payload": "lost"})
    revoked.will = ("message", {"devices": [B], "payload": "revoked"})
    net.broker.drop(lost)
    await net.node.mesh.runner.run(Job(JobType.UNREGISTER, auth=A, target=A))
    assert revoked.kicked == "unregistered"
    assert [message["payload"] for message in receiver.data("message")] == ["lost"]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"x":"\\ud800"}',
        b'{"x":"\xed\xa0\x80"}',
        b'{"uuid":"\\udfff"}',
        b'{"' + b".".join([b"a"] * 5000) + b'":1}',
    ],
)
async def test_a_request_that_no_store_could_hold_is_refused_and_costs_nobody_else_anything(
    net: Net, payload: bytes
) -> None:
    session = await net.session(A, "ta")
    frame = await net.ask(session, "update", payload)
    assert frame["topic"] == "error"
    assert (await net.ask(session, "whoami", {}))["topic"] == "whoami"
    assert net.node.mesh.work.failed == 0


async def test_a_message_too_large_for_the_line_to_the_parent_is_refused_with_an_error(
    net: Net,
) -> None:
    session = await net.session(A, "ta")
    request = {"devices": [device_uuid(99)], "payload": "x" * 200_000}
    net.broker.send(session, "message", request, qos=1)
    await eventually(lambda: session.verdicts)
    assert isinstance(session.verdicts[0], Refused)
    (error,) = session.data("error")
    assert error["message"] == "message failed: Unprocessable Entity"
