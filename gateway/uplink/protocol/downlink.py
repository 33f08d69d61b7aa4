"""The child's side of commands: each is durable before it is acknowledged, and let through at most once."""

from collections.abc import Mapping

from gateway.model.command import Command, Outcome
from gateway.model.ranges import RangeSet
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol.effects import Admit, Answer, ChildEffect, Dispatch, Send
from gateway.uplink.protocol.offset import ParentClock


class ChildCommands:
    """Which commands of which down log this store has."""

    def __init__(self, store_id: str) -> None:
        self._store_id = store_id
        self._taken: dict[str, RangeSet] = {}
        self._admitting: set[tuple[str, int]] = set()

    def known(self, taken: Mapping[str, RangeSet]) -> None:
        """Take in what the inbox holds."""
        for down_log, ranges in taken.items():
            self._taken[down_log] = self._taken.get(down_log, RangeSet()).union(ranges)

    def received(
        self, frame: fr.CommandFrame, clock: ParentClock, now_ms: int
    ) -> list[ChildEffect]:
        """Ask to admit a command, with its deadline in this machine's uptime."""
        place = (frame.down_log, frame.number)
        if frame.number in self._taken.get(frame.down_log, RangeSet()):
            return [self._down_taken(frame.down_log)]
        if place in self._admitting:
            return []
        self._admitting.add(place)
        deadline_ms = clock.deadline(frame.deadline_wall_ms, now_ms)
        verdict = None if deadline_ms is not None else Outcome.EXPIRED
        if frame.store_id != self._store_id:
            verdict = Outcome.UNKNOWN  # the store before this one may have let the device act
        command = Command(
            frame.id,
            frame.device,
            frame.actor,
            frame.action,
            frame.params,
            deadline_ms or 0,
            via="parent",
            respond_to=frame.respond_to,
        )
        return [Admit(command, frame.down_log, frame.number, verdict)]

    def admitted(
        self, request: Admit, now_ms: int, *, is_new: bool, is_online: bool
    ) -> list[ChildEffect]:
        """Acknowledge what is durable; let the device act if its time has not passed meanwhile."""
        self._admitting.discard((request.down_log, request.number))
        known = self._taken.get(request.down_log, RangeSet())
        self._taken[request.down_log] = known.add(request.number, request.number)
        effects: list[ChildEffect] = [self._down_taken(request.down_log)] if is_online else []
        if not is_new:
            return effects
        verdict = request.verdict
        if verdict is None and now_ms >= request.command.deadline_ms:
            verdict = Outcome.EXPIRED
        effects.append(
            Dispatch(request.command) if verdict is None else Answer(request.command, verdict)
        )
        return effects

    def _down_taken(self, down_log: str) -> Send:
        return Send(fr.DownTaken(down_log, self._taken[down_log]))
