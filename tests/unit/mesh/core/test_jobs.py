"""Jobs: who may do which one, from one table, and what each does."""

from typing import Any

import pytest

from gateway.mesh.core.jobs import JOBS
from gateway.mesh.core.outcome import Job, JobType, Outcome
from gateway.mesh.registration import RegistrationMode
from gateway.model import DeviceUuid
from tests.fakes.mesh_node import MeshNode, device_uuid

SELF, OWNER, LISTED, STRANGER, IMPOSTOR = (device_uuid(n) for n in range(1, 6))
JUDGED = [kind for kind, row in JOBS.items() if row.check is not None]
FREE = [JobType.REGISTER, JobType.PUBLIC_KEY, JobType.SERVER_KEY, JobType.STATUS]
DATA: dict[JobType, Any] = {
    JobType.UPDATE: {"$set": {"name": "x"}},
    JobType.REVOKE_TOKEN: "0" * 40,
    JobType.REVOKE_TOKENS: {"tag": "x"},
    JobType.REGISTER: {"type": "x"},
}


def new_lists(**lists: DeviceUuid) -> dict[str, Any]:
    whitelists: dict[str, dict[str, Any]] = {}
    for name, uuid in lists.items():
        group, entry = name.split("_")
        whitelists.setdefault(group, {})[entry] = [{"uuid": uuid}]
    return {"version": "2.0.0", "whitelists": whitelists}


async def node_with_target(list_name: str) -> MeshNode:
    """Return a mesh whose target lists LISTED in one list, and whose owner's proxy is IMPOSTOR."""
    node = MeshNode()
    lists = new_lists(**{list_name.replace(".", "_"): LISTED})
    await node.add(1, "t-self", meshblu=lists, publicKey="PEM")
    for number in (2, 4):
        await node.add(number, f"t-{number}")
    # IMPOSTOR may act as LISTED when reading and when configuring.
    as_lists = new_lists(discover_as=IMPOSTOR, configure_as=IMPOSTOR)
    await node.add(3, "t-listed", meshblu=as_lists)
    await node.add(5, "t-5")
    return node


async def run(node: MeshNode, kind: JobType, auth: DeviceUuid | None, **job: Any) -> Outcome:
    job.setdefault("target", SELF)
    return await node.mesh.runner.run(Job(kind, auth=auth, data=DATA.get(kind), **job))


@pytest.mark.parametrize("kind", JUDGED)
async def test_a_job_is_done_for_the_device_itself_and_for_who_is_listed(kind: JobType) -> None:
    check = JOBS[kind].check
    assert check is not None
    for caller in (SELF, LISTED):
        outcome = await run(await node_with_target(check), kind, caller)
        assert outcome.is_success, (caller, outcome)


@pytest.mark.parametrize("kind", JUDGED)
@pytest.mark.parametrize("caller", [STRANGER, None, device_uuid(99)])
async def test_a_job_is_refused_to_strangers(kind: JobType, caller: DeviceUuid | None) -> None:
    check = JOBS[kind].check
    assert check is not None
    node = await node_with_target(check)
    before = dict(node.devices.documents), dict(node.tokens.records)
    assert (await run(node, kind, caller)).code == 403
    assert (node.devices.documents, node.tokens.records) == before


@pytest.mark.parametrize("kind", JUDGED)
async def test_another_list_does_not_allow_a_job(kind: JobType) -> None:
    others = {"configure.update", "discover.view"} - {JOBS[kind].check}
    for other in others:
        assert (await run(await node_with_target(other), kind, LISTED)).code == 403


@pytest.mark.parametrize("kind", JUDGED)
async def test_acting_as_a_listed_device_needs_its_as_list(kind: JobType) -> None:
    check = JOBS[kind].check
    assert check is not None
    node = await node_with_target(check)
    assert (await run(node, kind, STRANGER, acting=LISTED)).code == 403
    assert (await run(node, kind, IMPOSTOR, acting=STRANGER)).code == 403
    assert (await run(node, kind, IMPOSTOR, acting=LISTED)).is_success


async def test_nobody_acts_as_a_device_upon_that_very_device() -> None:
    node = await node_with_target("discover.view")
    outcome = await run(node, JobType.GET, IMPOSTOR, acting=LISTED, target=LISTED)
    assert outcome.code == 403


@pytest.mark.parametrize("kind", JUDGED)
async def test_a_job_on_a_device_that_does_not_exist_is_refused(kind: JobType) -> None:
    check = JOBS[kind].check
    assert check is not None
    node = await node_with_target(check)
    assert (await run(node, kind, LISTED, target=device_uuid(99))).code == 403


@pytest.mark.parametrize("kind", FREE)
async def test_some_jobs_ask_nobody_who_they_are(kind: JobType) -> None:
    assert (await run(await node_with_target("discover.view"), kind, None)).is_success


def test_every_job_is_judged_free_or_a_mere_login() -> None:
    assert {*JUDGED, *FREE, JobType.AUTHENTICATE} | {JobType.SEND} == set(JobType)


async def test_authentication_needs_a_login_and_nothing_else() -> None:
    node = await node_with_target("discover.view")
    assert (await run(node, JobType.AUTHENTICATE, STRANGER)).code == 204
    assert (await run(node, JobType.AUTHENTICATE, None)).code == 403


async def register(node: MeshNode, properties: Any, auth: DeviceUuid | None = None) -> Outcome:
    return await node.mesh.runner.run(Job(JobType.REGISTER, auth=auth, data=properties))


async def test_registering_makes_a_uuid_a_token_and_the_default_lists() -> None:
    node = MeshNode()
    outcome = await register(
        node, {"type": "drone", "uuid": "mine", "token": "mine", "meshblu": {"tokens": {"a": 1}}}
    )
    assert outcome.code == 201
    document = outcome.data
    token = document.pop("token")
    assert len(token) == 40
    assert document == {
        "type": "drone",
        "online": False,
        "discoverWhitelist": ["*"],
        "configureWhitelist": ["*"],
        "sendWhitelist": ["*"],
        "receiveWhitelist": ["*"],
        "uuid": document["uuid"],
        "meshblu": {
            "createdAt": "2025-11-24T16:00:00.000Z",
            "hash": document["meshblu"]["hash"],
        },
    }
    assert document["uuid"] != "mine"
    assert node.devices.documents[document["uuid"]] == document
    (record,) = node.tokens.records.values()
    assert record.is_root
    assert record.hash == node.mesh.hasher.hash(document["uuid"], token)


async def test_registration_by_code_takes_the_code_away_and_uses_it_up() -> None:
    node = MeshNode(RegistrationMode.CODE)
    code = node.mesh.registration.new_code()
    refused = await register(node, {"type": "x"})
    assert (refused.code, refused.data) == (403, None)
    assert refused.error is not None
    outcome = await register(node, {"type": "x", "registrationCode": code})
    assert outcome.code == 201
    assert "registrationCode" not in node.devices.documents[outcome.data["uuid"]]
    assert (await register(node, {"registrationCode": code})).code == 403


async def test_a_legacy_device_without_owner_belongs_to_who_registered_it() -> None:
    node = MeshNode(RegistrationMode.CODE)
    legacy = (await register(node, {}, OWNER)).data
    assert (legacy["owner"], legacy["configureWhitelist"]) == (OWNER, [OWNER])
    owned = (await register(node, {"owner": STRANGER}, OWNER)).data
    assert owned["owner"] == STRANGER
    new = (await register(node, {"meshblu": {"version": "2.0.0"}}, OWNER)).data
    assert "owner" not in new
    assert "discoverWhitelist" not in new


async def test_open_registration_gives_no_owner() -> None:
    assert "owner" not in (await register(MeshNode(), {}, OWNER)).data


async def test_a_registration_that_is_no_object_is_unprocessable() -> None:
    assert (await register(MeshNode(), [])).code == 422


async def test_documents_are_shown_without_tokens_in_any_form() -> None:
    node = MeshNode()
    await node.add(1, token="x")
    node.devices.documents[SELF] |= {
        "token": "bcrypt",
        "meshblu": {"tokens": {"a": 1}, "hash": "h"},
    }
    shown = (await run(node, JobType.GET, SELF)).data
    assert shown == {"uuid": SELF, "meshblu": {"hash": "h"}}


async def update(node: MeshNode, operators: Any) -> Outcome:
    return await node.mesh.runner.run(Job(JobType.UPDATE, auth=SELF, target=SELF, data=operators))


async def test_an_update_is_noted_in_the_document() -> None:
    node = MeshNode()
    await node.add(1)
    assert await update(node, {"$set": {"a.b": 1}}) == Outcome(204)
    document = node.devices.documents[SELF]
    assert document["a"] == {"b": 1}
    assert document["meshblu"]["updatedBy"] == SELF


async def test_an_invalid_update_says_why_in_its_body_and_a_bad_one_in_its_error() -> None:
    node = MeshNode()
    await node.add(1, n="x")
    outcome = await update(node, {"name": "x"})
    assert (outcome.code, outcome.data) == (
        422,
        {"error": "Update query may only contain authorized keys."},
    )
    outcome = await update(node, {"$inc": {"n": 1}})
    assert (outcome.code, outcome.data, outcome.error) == (422, None, "'n' needs a number.")


async def test_an_update_of_lists_is_in_force_at_once() -> None:
    node = MeshNode()
    await node.add(1)
    assert (await run(node, JobType.GET, LISTED)).code == 403
    await update(node, {"$set": {"discoverWhitelist": [LISTED]}})
    assert (await run(node, JobType.GET, LISTED)).code == 200
    await update(node, {"$unset": {"discoverWhitelist": ""}})
    assert (await run(node, JobType.GET, LISTED)).code == 403


async def test_session_tokens_carry_metadata_and_are_revoked_by_it() -> None:
    node = MeshNode()
    await node.add(1, "root")
    made = [
        await node.mesh.runner.run(
            Job(JobType.CREATE_TOKEN, auth=SELF, target=SELF, data={"tag": tag, "token": "x"})
        )
        for tag in ("a", "a", "b")
    ]
    assert [outcome.code for outcome in made] == [201] * 3
    assert made[0].data == {"tag": "a", "uuid": SELF, "token": made[0].data["token"]}
    assert made[0].data["token"] != "x"
    revoke = Job(JobType.REVOKE_TOKENS, auth=SELF, target=SELF, data={"tag": "a"})
    assert (await node.mesh.runner.run(revoke)).code == 204
    left = {token.metadata.get("tag") for token in await node.tokens.of(SELF)}
    assert left == {None, "b"}


@pytest.mark.parametrize("query", [{}, None, []])
async def test_an_empty_query_revokes_nothing(query: Any) -> None:
    node = MeshNode()
    await node.add(1, "root")
    job = Job(JobType.REVOKE_TOKENS, auth=SELF, target=SELF, data=query)
    assert (await node.mesh.runner.run(job)).code == 422
    assert len(await node.tokens.of(SELF)) == 1


async def test_revoking_one_token_leaves_the_others() -> None:
    node = MeshNode()
    await node.add(1, "root")
    job = Job(JobType.CREATE_TOKEN, auth=SELF, target=SELF)
    token = (await node.mesh.runner.run(job)).data["token"]
    for text in ("unknown", token):
        revoke = Job(JobType.REVOKE_TOKEN, auth=SELF, target=SELF, data=text)
        assert (await node.mesh.runner.run(revoke)).code == 204
    (left,) = await node.tokens.of(SELF)
    assert left.is_root


async def test_a_reset_replaces_the_root_token_of_the_target_alone() -> None:
    node = await node_with_target("configure.update")
    await node.mesh.runner.run(Job(JobType.CREATE_TOKEN, auth=SELF, target=SELF))
    outcome = await run(node, JobType.RESET_TOKEN, LISTED)
    assert outcome.data["uuid"] == SELF
    tokens = await node.tokens.of(SELF)
    assert len(tokens) == 2
    (root,) = (token.hash for token in tokens if token.is_root)
    assert root == node.mesh.hasher.hash(SELF, outcome.data["token"])
    assert len(await node.tokens.of(LISTED)) == 1


async def test_unregistering_removes_the_device_and_its_tokens() -> None:
    node = MeshNode()
    await node.add(1, "root")
    outcome = await run(node, JobType.UNREGISTER, SELF)
    assert (outcome.code, outcome.data) == (200, {"uuid": SELF})
    assert node.devices.documents == {}
    assert node.tokens.records == {}
    assert (await run(node, JobType.UNREGISTER, SELF)).code == 404


async def test_public_keys_are_public() -> None:
    node = MeshNode()
    await node.add(1, publicKey="PEM")
    await node.add(2)
    assert (await run(node, JobType.PUBLIC_KEY, None)).data == {"uuid": SELF, "publicKey": "PEM"}
    without = await run(node, JobType.PUBLIC_KEY, None, target=OWNER)
    assert without.data == {"uuid": OWNER}
    assert (await run(node, JobType.PUBLIC_KEY, None, target=LISTED)).code == 404
    assert (await run(node, JobType.SERVER_KEY, None, target=None)).code == 204
