"""Joining a parent: one connection with the code of an invitation, which it trades for a token."""

import asyncio
import secrets
from pathlib import Path

from gateway.errors import BadTokenError, MalformedFrameError, ParentUnreachableError
from gateway.model.device import DeviceUuid
from gateway.uplink.invitation import Invite, parse_line
from gateway.uplink.parent_file import ParentAddress, save_parent
from gateway.uplink.protocol.frames import Frame, Join, Joined, Refused, decode, encode
from gateway.uplink.wire import Dial, Wire

ANSWER_TIMEOUT_S = 10.0


async def join(line: str, state_dir: Path, node: DeviceUuid, name: str) -> ParentAddress:
    """Use an invitation up and keep the parent in `state_dir`.

    Raises ConfigError for a bad line, ParentUnreachableError, BadTokenError for a code that is used or over.
    """
    invite = parse_line(line)
    joined = await _ask(invite, node, name)
    parent = ParentAddress(
        invite.host,
        invite.port,
        invite.fingerprint,
        joined.mesh_id,
        joined.parent,
        joined.token,
    )
    save_parent(state_dir, parent)
    return parent


async def _ask(invite: Invite, node: DeviceUuid, name: str) -> Joined:
    answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
    # A connection that is lost while it opens fails in `connect`; nobody asks for this answer then.
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    def came(payload: bytes) -> None:
        try:
            frame = decode(payload)
        except MalformedFrameError:
            return  # the deadline below says what that means
        if isinstance(frame, Joined | Refused) and not answer.done():
            answer.set_result(frame)

    def lost(reason: str) -> None:
        if not answer.done():
            answer.set_exception(_silent(invite, reason))

    client_id = f"join-{secrets.token_hex(8)}"
    dial = Dial(invite.host, invite.port, invite.fingerprint, node, client_id, invite.code)
    wire = Wire(dial, came, lost)
    await wire.connect()
    try:
        wire.send(encode(Join(node, name)))
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            frame = await answer
    except TimeoutError as error:
        raise _silent(invite, "no answer in time") from error
    finally:
        wire.close("")
    if isinstance(frame, Joined):
        return frame
    text = frame.text if isinstance(frame, Refused) else "no answer"
    raise BadTokenError(
        f"the parent at {invite.host}:{invite.port} did not let this gateway join: {text}",
        code="GW-1609",
        hint="run `gateway mesh invite` at the parent again and use the new line within the hour",
    )


def _silent(invite: Invite, why: str) -> ParentUnreachableError:
    return ParentUnreachableError(
        f"the parent at {invite.host}:{invite.port} did not answer: {why}",
        code="GW-1608",
        hint="check that it runs, then use the same line again",
    )
