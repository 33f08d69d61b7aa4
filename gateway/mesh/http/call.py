"""One HTTP request as the mesh reads it: who asks, as whom, with what body (specification 4.1, 5.1)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from gateway.mesh.core.text import parsed
from gateway.model.device import DeviceUuid, is_uuid, normalised

MOST_BODY_BYTES = 10 * 1024 * 1024  # the original's bound
FORM = "application/x-www-form-urlencoded"

HEADER_PAIRS = (
    ("meshblu_auth_uuid", "meshblu_auth_token"),
    ("skynet_auth_uuid", "skynet_auth_token"),
    ("x-meshblu-uuid", "x-meshblu-token"),
)
"""Credential headers in the order they are tried, after Authorization."""


class BadRequestError(ValueError):
    """A request that cannot be read; carries its HTTP status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """A request after its body was read and its login judged."""

    params: Mapping[str, str]  # from the path
    query: Mapping[str, str]
    body: Any  # parsed JSON or form; None where there was none
    auth: DeviceUuid | None
    acting: DeviceUuid | None

    @property
    def target(self) -> DeviceUuid:
        """Return the device that the path names."""
        return named(self.params["uuid"])


def named(text: str) -> DeviceUuid:
    """Return a uuid in its one spelling; another name stays as it is (an alias, unknown here)."""
    return normalised(text) if is_uuid(text) else DeviceUuid(text)


def credentials(headers: Mapping[str, str]) -> tuple[DeviceUuid, str] | None:
    """Return the uuid and token that a request presents, by the first form that holds both."""
    found = _authorization(headers.get("authorization"))
    if found is not None:
        return found
    for uuid_header, token_header in HEADER_PAIRS:
        uuid, token = headers.get(uuid_header, "").strip(), headers.get(token_header, "").strip()
        if uuid and token:
            return named(uuid), token
    return None


async def body(request: Request) -> Any:
    """Read and parse a body; raises BadRequestError for one that is too long (413) or no JSON (400)."""
    raw = await _read(request)
    if not raw:
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM:
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        return parsed(raw)
    except ValueError as error:
        raise BadRequestError(400, "The body is no JSON.") from error


def _authorization(value: str | None) -> tuple[DeviceUuid, str] | None:
    # Any scheme word: Basic and Bearer carry the same text (specification 4.1).
    encoded = (value or "").strip().partition(" ")[2].strip()
    if not encoded:
        return None
    padded = encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4)
    try:
        text = base64.b64decode(padded, altchars=b"-_").decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    uuid, colon, token = text.partition(":")
    uuid, token = uuid.strip(), token.strip()
    return (named(uuid), token) if colon and uuid and token else None


async def _read(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > MOST_BODY_BYTES:
        raise BadRequestError(413, "The body is longer than 10 MB.")
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > MOST_BODY_BYTES:
            raise BadRequestError(413, "The body is longer than 10 MB.")
        parts.append(part)
    return b"".join(parts)
