"""What follows a write: memory forgets, sessions whose token went are ended, attachments lose what was revoked.

In this order, before the answer leaves: whoever was told of a revocation can rely on it.
"""

import uuid as uuids
from collections.abc import Callable

from gateway.mesh.access import AccessCache
from gateway.mesh.attachments import Attachments
from gateway.mesh.core.messaging import authorised_types
from gateway.mesh.router import Router
from gateway.model.clock import Clock
from gateway.model.device import AccessRecord, DeviceUuid, Document
from gateway.model.message import Message, MessageKind
from gateway.model.wire import compact

EndSessions = Callable[[DeviceUuid, AccessRecord | None], None]
"""Ends the live sessions of a device whose token is not in the record any more (None: all of them)."""


class MeshChanges:
    """Matches `core.registry.Changes`; the app also calls it for writes that come by other ways."""

    def __init__(
        self, access: AccessCache, attachments: Attachments, router: Router, clock: Clock
    ) -> None:
        self._access = access
        self._attachments = attachments
        self._router = router
        self._clock = clock
        self._end_sessions: list[EndSessions] = []

    def on_revoked(self, end_sessions: EndSessions) -> None:
        """Add a face that holds live sessions."""
        self._end_sessions.append(end_sessions)

    async def updated(self, uuid: DeviceUuid, document: Document) -> None:
        """Follow a changed document, and tell its listeners: a `config` event."""
        record = await self._reread(uuid)
        self._attachments.revise(uuid, lambda listener: authorised_types(listener, record))
        body = compact(document)
        created = self._clock.stamp()
        self._router.route([Message(str(uuids.uuid4()), MessageKind.CONFIG, uuid, body, created)])

    async def tokens_changed(self, uuid: DeviceUuid) -> None:
        """Follow tokens that came or went."""
        self._end(uuid, await self._reread(uuid))

    async def removed(self, uuid: DeviceUuid) -> None:
        """Follow an unregistered device."""
        self._access.invalidate(uuid)
        self._end(uuid, None)
        for outlet in self._attachments.of(uuid):
            self._attachments.detach(outlet, uuid)

    async def _reread(self, uuid: DeviceUuid) -> AccessRecord | None:
        self._access.invalidate(uuid)
        return (await self._access.fetch((uuid,)))[uuid]

    def _end(self, uuid: DeviceUuid, record: AccessRecord | None) -> None:
        for end_sessions in self._end_sessions:
            end_sessions(uuid, record)
