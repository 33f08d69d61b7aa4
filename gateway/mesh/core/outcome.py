"""What a face asks of the mesh and what it is told: every protocol's request is a Job, every answer an Outcome."""

from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from gateway.model.device import DeviceUuid


class JobType(StrEnum):
    """The names of Meshblu's jobs (specification, section 1)."""

    AUTHENTICATE = "Authenticate"
    REGISTER = "RegisterDevice"
    GET = "GetDevice"
    UPDATE = "UpdateDevice"
    UNREGISTER = "UnregisterDevice"
    CREATE_TOKEN = "CreateSessionToken"  # noqa: S105 - the name of a job
    REVOKE_TOKEN = "RevokeSessionToken"  # noqa: S105 - the name of a job
    REVOKE_TOKENS = "RevokeTokenByQuery"
    RESET_TOKEN = "ResetToken"  # noqa: S105 - the name of a job
    PUBLIC_KEY = "GetDevicePublicKey"
    SERVER_KEY = "GetGlobalPublicKey"
    STATUS = "GetStatus"
    SEND = "SendMessage"


@dataclass(frozen=True, slots=True)
class Job:
    """One request: `auth` is who proved to be it, `acting` the device it acts as, `target` whom it concerns."""

    type: JobType
    auth: DeviceUuid | None = None
    acting: DeviceUuid | None = None
    target: DeviceUuid | None = None
    data: Any = None

    @property
    def actor(self) -> DeviceUuid | None:
        """Return the device in whose name the job is judged: `fromUuid`."""
        return self.acting or self.auth


@dataclass(frozen=True, slots=True)
class Outcome:
    """A status by HTTP's numbers, what there is to say (None: nothing), and why it failed."""

    code: int
    data: Any = field(default=None)
    error: str | None = None

    @property
    def is_success(self) -> bool:
        """Return whether the job was done."""
        return self.code < HTTPStatus.BAD_REQUEST

    @property
    def status(self) -> str:
        """Return the words that go with the code."""
        return HTTPStatus(self.code).phrase


NO_CONTENT = Outcome(HTTPStatus.NO_CONTENT)
FORBIDDEN = Outcome(HTTPStatus.FORBIDDEN)
NOT_FOUND = Outcome(HTTPStatus.NOT_FOUND)
UNPROCESSABLE = Outcome(HTTPStatus.UNPROCESSABLE_ENTITY)
