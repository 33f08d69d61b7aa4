"""Routes that send messages: accepted means 204, whoever may receive them (R8)."""

import uuid as uuids
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from gateway.mesh.core.messaging import addressees, may_send_as
from gateway.mesh.core.outcome import FORBIDDEN, NO_CONTENT, UNPROCESSABLE, Outcome
from gateway.mesh.http import replies
from gateway.mesh.http.call import Call
from gateway.mesh.http.face import HttpFace, Route
from gateway.model.message import Message, MessageKind
from gateway.model.wire import compact

OVERLOADED = Outcome(HTTPStatus.SERVICE_UNAVAILABLE, error="Maximum Capacity Exceeded")


async def message(face: HttpFace, call: Call) -> Response:
    """Send the body to the devices that it names."""
    if not isinstance(call.body, dict):
        return replies.job_reply(FORBIDDEN if call.auth is None else UNPROCESSABLE)
    return await _send(face, call, call.body)


async def broadcast(face: HttpFace, call: Call) -> Response:
    """Send the body to whoever may hear the caller's broadcasts."""
    if call.auth is None:
        return replies.job_reply(FORBIDDEN)
    if not isinstance(call.body, dict):
        return Response("Invalid Request", HTTPStatus.UNPROCESSABLE_ENTITY, media_type="text/plain")
    return await _send(face, call, call.body | {"devices": ["*"]})


async def _send(face: HttpFace, call: Call, content: Mapping[str, Any]) -> Response:
    if call.auth is None:
        return replies.job_reply(FORBIDDEN)
    to = addressees(content)
    if to is None:
        return replies.job_reply(UNPROCESSABLE)
    sender = call.acting or call.auth
    if call.acting is not None:
        record = (await face.router.access.fetch((sender,)))[sender]
        if not may_send_as(call.auth, record, to):
            return replies.job_reply(FORBIDDEN)
    sent = Message(
        str(uuids.uuid4()),
        MessageKind.MESSAGE,
        sender,
        compact(content),
        face.clock.stamp(),
    )
    await face.router.prepare([sent])
    ticket = face.router.route([sent], waiting=True)
    if ticket.refused:
        return replies.job_reply(UNPROCESSABLE)
    # 204 is an acknowledgement like a PUBACK: it leaves when what must go up is durable.
    is_settled = await face.settling.reached(ticket.settle)
    return replies.job_reply(NO_CONTENT if is_settled else OVERLOADED)


ROUTES = (
    Route("POST", "/messages", message, "Send a message."),
    Route("POST", "/broadcasts", broadcast, "Send a message to all listeners."),
)
