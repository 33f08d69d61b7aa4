"""Meshblu's MQTT dialect on the local broker: request topics, frames on the uuid's topic, nothing else.

Uuid topics and request topics never reach the topic trie; who hears what is decided by the mesh's own table.
"""

import logging
import uuid as uuids
from collections.abc import Callable, Mapping
from typing import Any

from gateway.errors import GatewayError
from gateway.mesh.access import UNKNOWN, AccessCache
from gateway.mesh.attachments import Attachments
from gateway.mesh.authenticator import DeviceAuthenticator
from gateway.mesh.changes import MeshChanges
from gateway.mesh.core.auth import matches
from gateway.mesh.core.jobs import Runner
from gateway.mesh.core.messaging import addressees, authorised_types
from gateway.mesh.core.outcome import Job, JobType, Outcome
from gateway.mesh.core.text import parsed
from gateway.mesh.outlet import MqttOutlet
from gateway.mesh.router import Router
from gateway.mesh.work import FAULTS, Work
from gateway.model.clock import Clock
from gateway.model.device import AccessRecord, DeviceUuid, is_uuid, normalised
from gateway.model.message import Message, MessageKind
from gateway.mqtt.ports import (
    CONSUMED,
    JOINING,
    ROUTED,
    Consumed,
    Granted,
    LocalBroker,
    PrincipalKind,
    Publish,
    Refused,
    Session,
    Verdict,
    Wait,
)

log = logging.getLogger(__name__)

OWN_CHANNELS = ("received", "config", "data")
REFUSED_QOS = 128
BEST_QOS = 1
NOT_FIELDS = ("uuid", "token", "callbackId")
MESSAGE = "message"  # the request topic without an answer
ROOM = "mesh:room"  # the key that packets wait on while a lane of jobs is full


def _update_fields(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"$set": {key: value for key, value in request.items() if key not in NOT_FIELDS}}


def _token_metadata(request: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in NOT_FIELDS}


def _nothing(_request: Mapping[str, Any]) -> None:
    return None


REQUESTS: Mapping[str, tuple[JobType, bool, Callable[[Mapping[str, Any]], Any]]] = {
    "whoami": (JobType.GET, False, _nothing),
    "update": (JobType.UPDATE, True, _update_fields),
    "resetToken": (JobType.RESET_TOKEN, True, _nothing),
    "getPublicKey": (JobType.PUBLIC_KEY, True, _nothing),
    "generateAndStoreToken": (JobType.CREATE_TOKEN, True, _token_metadata),
}
"""Request topic -> its job, whether the payload's `uuid` names the target (R4), and the job's data."""


def _not_a_device(session: Session) -> Verdict:
    """Judge a request topic of a session that the mesh does not serve: for a user it is an ordinary topic."""
    if session.principal.kind is PrincipalKind.USER:
        return ROUTED
    return Refused("this session is no device of the mesh")


class MqttFace:
    """Claims Meshblu's topics on a broker and serves its sessions."""

    def __init__(
        self,
        broker: LocalBroker,
        runner: Runner,
        router: Router,
        *,
        work: Work,
        authenticator: DeviceAuthenticator,
        clock: Clock,
    ) -> None:
        self._broker = broker
        self._runner = runner
        self._router = router
        self._work = work
        self._logins = authenticator.logins
        self._hasher = authenticator.hasher
        self._clock = clock
        self._access: AccessCache = router.access
        self._attachments: Attachments = router.attachments
        self._outlets: dict[Session, MqttOutlet] = {}
        self._by_uuid: dict[DeviceUuid, dict[Session, None]] = {}

    def bind(self, changes: MeshChanges) -> None:
        """Claim the topics, watch the sessions; call once, before the broker listens."""
        for topic in REQUESTS:
            self._broker.claim(topic, self._on_request)
        self._broker.claim(MESSAGE, self._on_message)
        self._broker.claim_uuids(self._on_uuid_publish, self._on_subscribe, self._on_unsubscribe)
        self._broker.observe(self)
        self._access.on_filled(
            lambda filled: self._broker.resume([f"access:{uuid}" for uuid in filled])
        )
        changes.on_revoked(self._end_sessions)

    def sessions_of(self, uuid: DeviceUuid) -> int:
        """Return how many live sessions a device has."""
        return len(self._by_uuid.get(uuid, ()))

    def opened(self, session: Session) -> None:
        """Begin to serve a DEVICE or CHILD session; it hears nothing until it subscribes."""
        if JOINING in session.principal.roles:
            return  # whoever holds an invitation chose this uuid: nothing may be done in its name yet
        uuid = normalised(session.principal.name)
        token_hash = self._logins.claim(uuid, session.peer)
        self._outlets[session] = MqttOutlet(self._broker, session, uuid, token_hash)
        self._by_uuid.setdefault(uuid, {})[session] = None

    def closed(self, session: Session, reason: str) -> None:  # noqa: ARG002 - the observer's shape
        """Forget a session that ended."""
        outlet = self._outlets.pop(session, None)
        if outlet is None:
            return
        self._attachments.drop(outlet)
        outlet.close()
        sessions = self._by_uuid[outlet.uuid]
        del sessions[session]
        if not sessions:
            del self._by_uuid[outlet.uuid]

    def refused(self, session: Session, publish: Publish, reason: str) -> None:
        """Tell a device that the broker, or a claim, refused its publish: an error frame."""
        outlet = self._outlets.get(session)
        if outlet is None:
            return
        try:
            request = parsed(publish.payload)
        except ValueError:
            request = None
        text = f"Topic '{publish.topic}' is not valid"
        if publish.topic in REQUESTS or publish.topic == MESSAGE:
            text = f"{publish.topic} failed: {reason}"
        outlet.fail(text, request if isinstance(request, dict) else {})

    def _end_sessions(self, uuid: DeviceUuid, record: AccessRecord | None) -> None:
        for session in list(self._by_uuid.get(uuid, ())):
            token_hash = self._outlets[session].token_hash
            # Without a hash (its login was crowded out of memory) only its removal ends it.
            if record is None or (
                token_hash is not None and not matches(token_hash, record.token_hashes)
            ):
                self._outlets[session].is_revoked = True
                self._broker.kick(session, "token revoked" if record else "unregistered")

    def _on_request(self, session: Session, publish: Publish) -> Verdict:
        outlet = self._outlets.get(session)
        if outlet is None:
            return _not_a_device(session)
        request = self._parsed(outlet, publish.payload)
        if request is None:
            return CONSUMED
        topic = publish.topic
        job_type, names_target, data = REQUESTS[topic]
        named = request.get("uuid") if names_target else None
        target = normalised(named) if isinstance(named, str) else outlet.uuid
        job = Job(job_type, auth=outlet.uuid, target=target, data=data(request))

        async def run() -> None:
            await self._answer(outlet, topic, job, request)

        if self._work.submit(f"mqtt:{session.peer}", run):
            return CONSUMED
        self._work.on_room(self._resume_room)
        return Wait(ROOM)

    async def _answer(
        self, outlet: MqttOutlet, topic: str, job: Job, request: Mapping[str, Any]
    ) -> None:
        if outlet.session not in self._outlets:
            return  # gone, or its token revoked, while the job waited
        kept = outlet.token_hash
        is_own_reset = job.type is JobType.RESET_TOKEN and job.target == outlet.uuid
        if is_own_reset:
            outlet.token_hash = None  # who resets its own token is not cut off before the answer
        try:
            outcome = await self._runner.run(job)
        except GatewayError as error:
            outcome = Outcome(503, error=error.text)
        except FAULTS:
            log.exception("job failed", extra={"job": job.type.value, "by": outlet.uuid})
            outcome = Outcome(500)
        if outcome.is_success:
            if is_own_reset:
                outlet.token_hash = self._hasher.hash(outlet.uuid, outcome.data["token"])
            outlet.reply(topic, {} if outcome.data is None else outcome.data, request)
        else:
            outlet.token_hash = kept
            outlet.fail(f"{topic} failed: {_reason(outcome)}", request)

    def _on_message(self, session: Session, publish: Publish) -> Verdict:
        outlet = self._outlets.get(session)
        if outlet is None:
            return _not_a_device(session)
        if outlet.is_revoked:
            return Refused("the token was revoked")
        content = self._parsed(outlet, publish.payload)
        if content is None:
            return CONSUMED
        if addressees(content) is None:
            outlet.fail("message failed: Unprocessable Entity", content)
            return CONSUMED
        message = Message(
            str(uuids.uuid4()),
            MessageKind.MESSAGE,
            outlet.uuid,
            publish.payload,
            self._clock.stamp(),
        )
        missing = self._router.missing(message, content)
        if missing:
            self._access.want(missing)
            return Wait(f"access:{missing[0]}")
        try:
            ticket = self._router.route([message], waiting=publish.qos > 0)
        except GatewayError as error:
            # MQTT 3.1.1 has no negative acknowledgement: without this the sender would believe it was kept.
            outlet.fail(f"message failed: {error}", content)
            return Refused(str(error))
        if ticket.refused:
            outlet.fail("message failed: Unprocessable Entity", content)
            return Refused("it means nothing, or is too large for the line to the parent")
        return Consumed(ticket.settle)

    def _parsed(self, outlet: MqttOutlet, payload: bytes) -> dict[str, Any] | None:
        try:
            value = parsed(payload or b"{}")
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
        outlet.fail("The payload is no JSON object", {})
        return None

    def _on_uuid_publish(self, session: Session, publish: Publish) -> Verdict:
        reason = "only the mesh publishes on a uuid's topic"  # R5
        self.refused(session, publish, reason)
        return Refused(reason)

    def _on_subscribe(self, session: Session, topic: str, qos: int) -> Granted | Wait:
        outlet = self._outlets.get(session)
        if outlet is None or not is_uuid(topic):
            return Granted(REFUSED_QOS)
        emitter = normalised(topic)
        if emitter == outlet.uuid:
            types: tuple[str, ...] = OWN_CHANNELS
        else:
            record = self._access.known(emitter)
            if record is UNKNOWN:
                self._access.want((emitter,))
                return Wait(f"access:{emitter}")
            types = tuple(authorised_types(outlet.uuid, record))
        if not types:
            return Granted(REFUSED_QOS)
        granted = min(qos, BEST_QOS)
        outlet.grant(emitter, topic, granted)
        self._attachments.attach(outlet, emitter, types)
        return Granted(granted)

    def _on_unsubscribe(self, session: Session, topic: str) -> None:
        outlet = self._outlets.get(session)
        if outlet is not None and is_uuid(topic):
            outlet.withdraw(normalised(topic))
            self._attachments.detach(outlet, normalised(topic))

    def _resume_room(self) -> None:
        self._broker.resume([ROOM])


def _reason(outcome: Outcome) -> str:
    if outcome.error is not None:
        return outcome.error
    if isinstance(outcome.data, dict) and isinstance(outcome.data.get("error"), str):
        return str(outcome.data["error"])
    return outcome.status
