"""The one way in: every reading, event, answer and message of this node passes `Router.route`.

It is synchronous: live listeners are served at once, what must go up is appended to the spool, commands leave
to their device; the ticket tells when every durable obligation is met.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import MalformedFrameError, StoreFullError
from gateway.mesh.access import UNKNOWN, AccessCache
from gateway.mesh.attachments import LATE, Attachments, Frame, Outlet
from gateway.mesh.core.plan import Channel, Plan, goes_up, needed, plan
from gateway.model.clock import Clock, Stamp
from gateway.model.command import Command
from gateway.model.device import AccessRecord, DeviceUuid
from gateway.model.message import Message, MessageKind, Refusal, Ticket
from gateway.model.wire import compact, rendered

logger = logging.getLogger(__name__)

COMMAND_MS = 30_000  # a command without its own limit: Meshblu's callers give up after 30 s (599)
MOST_HELD = 1_000  # messages whose receivers are being looked up; beyond, the oldest caller's loss is counted
REPORTED = frozenset({MessageKind.READING, MessageKind.EVENT})


@dataclass(frozen=True, slots=True)
class Ways:
    """Where things go from here, each handed in by the composition root.

    `spool` is None on a node without a parent; `dispatch` takes commands for brought devices, `send_down` those
    for the devices of a child.
    """

    spool: Callable[[Message, bool], int] | None
    dispatch: Callable[[Command], None]
    send_down: Callable[[DeviceUuid, Command], None]
    is_brought: Callable[[DeviceUuid], bool]
    child_of: Callable[[DeviceUuid], DeviceUuid | None]
    observed_ms: Callable[[Stamp], int | None]


class Router:
    """Plans each message and applies the plan; `counts` says what became of them."""

    def __init__(
        self,
        ways: Ways,
        *,
        access: AccessCache,
        attachments: Attachments,
        clock: Clock,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._ways = ways
        self.access = access
        self.attachments = attachments
        self._clock = clock
        self._held = 0
        self._read: tuple[Message, dict[str, Any]] | None = None  # the message last read
        self.is_brought = ways.is_brought
        self.child_of = ways.child_of

    def record(self, uuid: DeviceUuid) -> AccessRecord | None:
        """Return what a plan asks of a device; one that is not in memory counts as absent."""
        known = self.access.known(uuid)
        return None if known is UNKNOWN else known

    def missing(
        self, message: Message, content: dict[str, Any] | None = None
    ) -> Sequence[DeviceUuid]:
        """Return the receivers that must be looked up before a message can be routed exactly.

        A face that has parsed the body already hands it over as `content`; routing it next parses nothing.
        """
        if content is not None:
            self._read = (message, content)
        if message.kind in REPORTED or message.kind is MessageKind.CONFIG:
            return ()
        return self._missing(needed(message, self._content(message)))

    async def prepare(self, batch: Sequence[Message]) -> None:
        """Look up whatever routing this batch asks for; after it `route` answers with the whole truth."""
        wanted = [uuid for message in batch for uuid in self.missing(message)]
        if wanted:
            await self.access.fetch(wanted)

    def route(self, batch: Sequence[Message], *, waiting: bool = False) -> Ticket:
        """Take messages in: serve who listens, keep what goes up, send commands on.

        The ticket's `settle` is the number after which all of it is durable (0: nothing was owed); `refused`
        names messages of the batch, by their place in it, that mean nothing.
        """
        settle = 0
        refused: dict[int, Refusal] = {}
        attachments, spool = self.attachments, self._ways.spool
        for index, message in enumerate(batch):
            if message.kind in REPORTED:
                if message.sender in attachments:
                    self._report(message, int(waiting))
                if spool is not None and goes_up(message.sender, message.source, self):
                    settle = self._kept(message, waiting=waiting) or settle
                continue
            try:
                settle = self._one(message, waiting=waiting) or settle
            except MalformedFrameError:
                self.counts["malformed"] += 1
                refused[index] = Refusal.MALFORMED
        self.counts["routed"] += len(batch)
        return Ticket(settle, refused)

    def _report(self, message: Message, qos: int) -> None:
        try:
            content = self._content(message)
        except MalformedFrameError:
            self.counts["malformed"] += 1
            return
        self._serve(message, content, plan(message, content, self), qos)

    def _one(self, message: Message, *, waiting: bool) -> int:
        content = self._content(message)
        missing = self._missing(needed(message, content))
        if missing and self._hold(message, content, missing):
            # Only an answer has its way up whoever the receivers are; it is kept before they are known.
            is_kept = message.kind is MessageKind.RESULT
            return (
                self._up(message, content, plan(message, content, self), waiting=waiting)
                if is_kept
                else 0
            )
        planned = plan(message, content, self)
        self._apply(message, content, planned, int(waiting))
        return self._up(message, content, planned, waiting=waiting)

    def _content(self, message: Message) -> dict[str, Any]:
        if self._read is not None and self._read[0] is message:
            return self._read[1]
        observed = self._ways.observed_ms(message.created) if message.kind in REPORTED else None
        content = rendered(message, observed)
        self._read = (message, content)
        return content

    def _missing(self, uuids: Sequence[DeviceUuid]) -> Sequence[DeviceUuid]:
        return [uuid for uuid in uuids if self.access.known(uuid) is UNKNOWN]

    def _hold(
        self, message: Message, content: dict[str, Any], missing: Sequence[DeviceUuid]
    ) -> bool:
        """Keep a message whose sender did not wait for `prepare` until its receivers are known."""
        if self._held >= MOST_HELD:
            self.counts["held_dropped"] += 1
            return False
        left = len(missing)

        def told() -> None:
            nonlocal left
            left -= 1
            if left:
                return
            self._held -= 1
            planned = plan(message, content, self)
            self._apply(message, content, planned, 0)
            if message.kind is not MessageKind.RESULT:
                self._up(message, content, planned, waiting=False)

        if not self.access.want(missing, told):
            return False
        self._held += 1
        return True

    def _apply(self, message: Message, content: dict[str, Any], planned: Plan, qos: int) -> None:
        self._serve(message, content, planned, qos)
        for device in () if message.late else planned.commands:
            self._ways.dispatch(self._command(message, planned, device))
        for child, device in () if message.late else planned.down:
            self._ways.send_down(child, self._command(message, planned, device))
        if planned.refused:
            self.counts["refused_by_list"] += len(planned.refused)
            logger.debug(
                "message not delivered",
                extra={"sender": message.sender, "refused_by": dict(planned.refused)},
            )

    def _serve(self, message: Message, content: Mapping[str, Any], planned: Plan, qos: int) -> None:
        """Deliver to live sessions: one copy each, by the first channel that reaches it."""
        seen: set[Outlet] = set()
        text: bytes | None = None
        is_config = message.kind is MessageKind.CONFIG
        for channel in planned.channels:
            for outlet in self._heard(channel, late=message.late):
                if outlet in seen:
                    continue
                seen.add(outlet)
                if text is None:
                    shown = content if is_config else {**content, "fromUuid": message.sender}
                    text = compact(shown)
                outlet.deliver(Frame(channel.uuid, "config" if is_config else "message", text, qos))

    def _heard(self, channel: Channel, *, late: bool) -> Sequence[Outlet]:
        # What was said to somebody is not outdated by what was said since, as a reading is.
        is_outdated = late and channel.type != "received"
        name = LATE + channel.type if is_outdated else channel.type
        return list(self.attachments.listeners(channel.uuid, name))

    def _command(self, message: Message, planned: Plan, device: DeviceUuid) -> Command:
        request = planned.request
        assert request is not None, "a plan with commands says what they ask"
        targets = len(planned.commands) + len(planned.down)
        deadline = message.expires_ms or self._clock.uptime_ms() + COMMAND_MS
        return Command(
            id=message.id if targets == 1 else f"{message.id}/{device}",
            device=device,
            actor=message.sender,
            action=request.action,
            params=request.params,
            deadline_ms=deadline,
            respond_to=request.respond_to,
        )

    def _up(
        self, message: Message, content: Mapping[str, Any], planned: Plan, *, waiting: bool
    ) -> int:
        if planned.up is None or self._ways.spool is None:
            return 0
        if planned.up:
            part = {**content, "devices": list(planned.up), "fromUuid": message.sender}
            message = replace(message, body=compact(part))
        return self._kept(message, waiting=waiting)

    def _kept(self, message: Message, *, waiting: bool) -> int:
        """Append to the spool; a full one loses what nobody waits for, counted, and tells who waits."""
        assert self._ways.spool is not None
        try:
            return self._ways.spool(message, waiting)
        except StoreFullError:
            self.counts["spool_full"] += 1
            if waiting:
                raise
            return 0
