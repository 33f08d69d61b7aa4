"""Outcomes as HTTP replies: status, body, and what the job says of itself in `x-meshblu-*` headers."""

import json
import uuid as uuids
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from gateway.mesh.core.outcome import Outcome
from gateway.model.wire import compact

JSON = "application/json"
NOT_FOUND_BODY = {"code": 404, "message": "Devices not found"}


def json_response(code: int, content: Any) -> Response:
    """Return a JSON reply that is no job's."""
    return Response(compact(content), code, media_type=JSON)


def job_reply(outcome: Outcome, code: int | None = None) -> Response:
    """Return the reply of a job: its data, `null` with an error, nothing with 204."""
    status = outcome.code if code is None else code
    headers = {
        "x-meshblu-code": str(outcome.code),
        "x-meshblu-status": outcome.status,
        "x-meshblu-response-id": str(uuids.uuid4()),
    }
    if outcome.error is not None:
        # Escaped to ASCII: a header can carry nothing else.
        headers["x-meshblu-error"] = json.dumps({"message": outcome.error}, separators=(",", ":"))
    if status == HTTPStatus.NO_CONTENT:
        return Response(None, status, headers)
    return Response(compact(outcome.data), status, headers, JSON)


def v1_device(outcome: Outcome) -> Response:
    """Return `{"devices":[doc]}`; missing and forbidden look alike."""
    if not outcome.is_success:
        return v2_device(outcome)
    return job_reply(Outcome(outcome.code, {"devices": [outcome.data]}))


def v2_device(outcome: Outcome) -> Response:
    """Return the document; missing and forbidden look alike (404)."""
    if outcome.code in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
        return job_reply(Outcome(outcome.code, NOT_FOUND_BODY), HTTPStatus.NOT_FOUND)
    return job_reply(outcome)


def v3_device(outcome: Outcome) -> Response:
    """Return the document; an absent one fails the whitelist before it can be missed (403)."""
    is_absent = outcome.code == HTTPStatus.NOT_FOUND
    return job_reply(Outcome(HTTPStatus.FORBIDDEN) if is_absent else outcome)
