"""Devices and their tokens: register, read, update, unregister; one short handler a job.

Handlers know neither protocol nor whitelist: `jobs.py` has judged the request before it comes here.
No answer ever holds a token's hash (R1); a token's text stands only in the answer that made it.
"""

import uuid as uuids
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from gateway.mesh.core.auth import TokenHasher, new_token
from gateway.mesh.core.outcome import (
    NO_CONTENT,
    NOT_FOUND,
    UNPROCESSABLE,
    Job,
    Outcome,
)
from gateway.mesh.core.paths import BadUpdateError
from gateway.mesh.core.update import Bookkeeping, change_mark, invalid, program
from gateway.model.clock import Clock
from gateway.model.device import DeviceUuid, Document, normalised
from gateway.model.ports import DeviceRepository, TokenRecord, TokenRepository
from gateway.model.whitelist import NEW_VERSION, with_registration_defaults
from gateway.model.wire import iso

REGISTRATION_CODE = "registrationCode"


class Changes(Protocol):
    """Told of each write once it is durable, before the answer leaves."""

    async def updated(self, uuid: DeviceUuid, document: Document) -> None:
        """Handle a document that changed: caches, live attachments, config events."""
        ...

    async def tokens_changed(self, uuid: DeviceUuid) -> None:
        """Handle tokens that came or went: sessions of revoked ones end."""
        ...

    async def removed(self, uuid: DeviceUuid) -> None:
        """Handle an unregistered device: all its sessions end."""
        ...


class Gate(Protocol):
    """Who may register now (`mesh/registration.py`)."""

    def admits(self, registrant: DeviceUuid | None, code: object) -> str | None:
        """Use up what admits this registration; return why it is refused, or None."""
        ...

    @property
    def names_registrant_owner(self) -> bool:
        """Return whether a legacy device without owner belongs to who registered it."""
        ...


@dataclass(frozen=True, slots=True)
class Registry:
    """What handlers work with."""

    devices: DeviceRepository
    tokens: TokenRepository
    hasher: TokenHasher
    clock: Clock
    gate: Gate
    changes: Changes
    server_key: str | None = None  # PEM


Handler = Callable[[Registry, Job], Awaitable[Outcome]]


def public(document: Mapping[str, Any]) -> Document:
    """Return a document as others may see it: without tokens in any form (R1)."""
    shown = {key: value for key, value in document.items() if key != "token"}
    meshblu = shown.get("meshblu")
    if isinstance(meshblu, dict) and "tokens" in meshblu:
        shown["meshblu"] = {key: value for key, value in meshblu.items() if key != "tokens"}
    return shown


async def authenticate(_registry: Registry, _job: Job) -> Outcome:
    """Answer Authenticate: being here is the proof."""
    return NO_CONTENT


async def register(registry: Registry, job: Job) -> Outcome:
    """Make a device; its token's text is in this answer and never again."""
    if not isinstance(job.data, dict):
        return UNPROCESSABLE
    properties = dict(job.data)
    refusal = registry.gate.admits(job.auth, properties.pop(REGISTRATION_CODE, None))
    if refusal is not None:
        return Outcome(HTTPStatus.FORBIDDEN, error=refusal)
    meshblu = properties.get("meshblu")
    meshblu = dict(meshblu) if isinstance(meshblu, dict) else {}
    is_legacy = meshblu.get("version") != NEW_VERSION
    if is_legacy and job.auth and registry.gate.names_registrant_owner:
        properties.setdefault("owner", job.auth)
    document: Document = {"online": False} | with_registration_defaults(properties)
    uuid = normalised(str(uuids.uuid4()))
    moment = iso(registry.clock.wall_ms())
    document["uuid"] = uuid
    document = public(document)
    meshblu.pop("tokens", None)
    document["meshblu"] = meshblu | {
        "createdAt": moment,
        "hash": change_mark({"uuid": uuid}, moment),
    }
    token = new_token()
    await registry.devices.insert(document, [_root(registry, uuid, token)])
    await registry.changes.tokens_changed(uuid)
    return Outcome(HTTPStatus.CREATED, document | {"token": token})


async def get(registry: Registry, job: Job) -> Outcome:
    """Return the document of the target."""
    document = await registry.devices.get(_target(job))
    return NOT_FOUND if document is None else Outcome(HTTPStatus.OK, public(document))


async def update(registry: Registry, job: Job) -> Outcome:
    """Apply update operators; a change that changes nothing is no event and no failure."""
    refusal = invalid(job.data)
    if refusal is not None:
        return Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": refusal})
    assert job.actor is not None
    by = Bookkeeping(job.actor, registry.clock.wall_ms())
    try:
        found = await registry.devices.update(_target(job), program(job.data, by))
    except BadUpdateError as error:
        return Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, error=str(error))
    if found is None:
        return NOT_FOUND
    before, after = found
    if before != after:
        await registry.changes.updated(_target(job), public(after))
    return NO_CONTENT


async def unregister(registry: Registry, job: Job) -> Outcome:
    """Remove the device with all its tokens."""
    target = _target(job)
    if await registry.devices.delete(target) is None:
        return NOT_FOUND
    await registry.changes.removed(target)
    return Outcome(HTTPStatus.OK, {"uuid": target})


async def create_token(registry: Registry, job: Job) -> Outcome:
    """Make a session token; an object in the request is kept with it and told back."""
    given = job.data if isinstance(job.data, dict) else {}
    metadata = {key: value for key, value in given.items() if key not in ("uuid", "token")}
    target, token = _target(job), new_token()
    hashed = registry.hasher.hash(target, token)
    await registry.tokens.add(TokenRecord(target, hashed, metadata))
    await registry.changes.tokens_changed(target)
    return Outcome(HTTPStatus.CREATED, metadata | {"uuid": target, "token": token})


async def revoke_token(registry: Registry, job: Job) -> Outcome:
    """Revoke one token by its text; an unknown one is no failure."""
    target = _target(job)
    if isinstance(job.data, str):
        hashed = registry.hasher.hash(target, job.data)
        if await registry.tokens.remove(target, lambda token: token.hash == hashed):
            await registry.changes.tokens_changed(target)
    return NO_CONTENT


async def revoke_tokens(registry: Registry, job: Job) -> Outcome:
    """Revoke the tokens whose metadata holds every given value; an empty query would revoke all: 422."""
    query = job.data
    if not isinstance(query, dict) or not query:
        return Outcome(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            error="A query without keys would revoke every token; name at least one.",
        )
    target = _target(job)
    missing = object()

    def goes(token: TokenRecord) -> bool:
        return all(token.metadata.get(key, missing) == value for key, value in query.items())

    if await registry.tokens.remove(target, goes):
        await registry.changes.tokens_changed(target)
    return NO_CONTENT


async def reset_token(registry: Registry, job: Job) -> Outcome:
    """Replace the root token; session tokens stay valid."""
    target, token = _target(job), new_token()
    await registry.tokens.add(_root(registry, target, token))
    kept = registry.hasher.hash(target, token)
    await registry.tokens.remove(target, lambda old: old.is_root and old.hash != kept)
    await registry.changes.tokens_changed(target)
    return Outcome(HTTPStatus.OK, {"uuid": target, "token": token})


async def public_key(registry: Registry, job: Job) -> Outcome:
    """Return a device's public key; anybody may ask."""
    document = await registry.devices.get(_target(job))
    if document is None:
        return NOT_FOUND
    answer = {"uuid": document["uuid"]}
    if document.get("publicKey") is not None:
        answer["publicKey"] = document["publicKey"]
    return Outcome(HTTPStatus.OK, answer)


async def server_key(registry: Registry, _job: Job) -> Outcome:
    """Return the mesh's own public key, if it has one."""
    if registry.server_key is None:
        return NO_CONTENT
    return Outcome(HTTPStatus.OK, {"publicKey": registry.server_key})


async def status(_registry: Registry, _job: Job) -> Outcome:
    """Say that jobs are run."""
    return Outcome(HTTPStatus.OK, {"meshblu": "online"})


def _target(job: Job) -> DeviceUuid:
    assert job.target is not None, "the table lets no job without target in here"
    return job.target


def _root(registry: Registry, uuid: DeviceUuid, token: str) -> TokenRecord:
    return TokenRecord(uuid, registry.hasher.hash(uuid, token), is_root=True)
