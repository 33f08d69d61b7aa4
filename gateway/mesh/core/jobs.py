"""The table of jobs: who must be known, which list is asked, what then runs (specification, section 1).

Every face turns its requests into a `Job` and hands it to `Runner.run`; so each behaviour stands, and is
tested, once.  Adding a job is adding a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.mesh.core import registry
from gateway.mesh.core.outcome import FORBIDDEN, Job, JobType, Outcome
from gateway.mesh.core.registry import Handler, Registry
from gateway.model.device import AccessRecord, DeviceUuid
from gateway.model.whitelist import may


@dataclass(frozen=True, slots=True)
class Row:
    """One job: `check` is the list of the target asked for the actor, `as_list` the one that lets it act as another."""

    run: Handler
    check: str | None = None
    as_list: str | None = None
    needs_auth: bool = True


JOBS: Mapping[JobType, Row] = {
    JobType.AUTHENTICATE: Row(registry.authenticate),
    JobType.REGISTER: Row(registry.register, needs_auth=False),
    JobType.GET: Row(registry.get, "discover.view", "discover.as"),
    JobType.UPDATE: Row(registry.update, "configure.update", "configure.as"),
    JobType.UNREGISTER: Row(registry.unregister, "configure.update", "configure.as"),
    JobType.CREATE_TOKEN: Row(registry.create_token, "configure.update", "configure.as"),
    JobType.REVOKE_TOKEN: Row(registry.revoke_token, "configure.update", "configure.as"),
    JobType.REVOKE_TOKENS: Row(registry.revoke_tokens, "configure.update", "configure.as"),
    JobType.RESET_TOKEN: Row(registry.reset_token, "configure.update", "configure.as"),
    JobType.PUBLIC_KEY: Row(registry.public_key, needs_auth=False),
    JobType.SERVER_KEY: Row(registry.server_key, needs_auth=False),
    JobType.STATUS: Row(registry.status, needs_auth=False),
}
"""Sending a message is no row: its receivers are judged one by one in `plan.py`, and nobody waits for them."""


class AccessRecords(Protocol):
    """Where access records come from; answers from memory where it can."""

    async def fetch(self, uuids: Sequence[DeviceUuid]) -> Mapping[DeviceUuid, AccessRecord | None]:
        """Return the records of these devices, None for those that do not exist."""
        ...


class Runner:
    """Judges jobs by the table and runs them."""

    def __init__(self, registry_: Registry, access: AccessRecords) -> None:
        self._registry = registry_
        self._access = access

    async def run(self, job: Job) -> Outcome:
        """Return the outcome of a job whose `auth` has been proved (None: nobody)."""
        row = JOBS[job.type]
        if row.needs_auth and (job.auth is None or not await self._is_allowed(row, job)):
            return FORBIDDEN
        return await row.run(self._registry, job)

    async def _is_allowed(self, row: Row, job: Job) -> bool:
        auth, actor, target = job.auth, job.actor, job.target
        assert auth is not None
        assert actor is not None
        if row.check is None:
            return True
        if target is None:
            return False
        if actor == auth == target:  # itself: nothing to look up, the handler sees if it is gone
            return True
        if actor not in (auth, target):
            records = await self._access.fetch((actor, target))
            return may_act_as(auth, actor, records[actor], row.as_list) and may(
                actor, records[target], row.check
            )
        if actor == target:  # acting as a device upon that very device ("protect your as")
            return False
        return may(actor, (await self._access.fetch((target,)))[target], row.check)


def may_act_as(
    auth: DeviceUuid, actor: DeviceUuid, record: AccessRecord | None, as_list: str | None
) -> bool:
    """Return whether `auth` may act in the name of `actor`, whose record is given."""
    return actor == auth or (as_list is not None and may(auth, record, as_list))
