"""The parent's side of commands: sent when kept, sent again until the child has them or their time is over."""

from gateway.model.log_ports import DownCommand
from gateway.model.ranges import RangeSet
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol.effects import Now, ParentEffect, Send, Timer

REPEAT_MS = 5_000  # a COMMAND is lost when the broker finds the child too far behind


class CommandsDown:
    """What one session has sent and the child has not acknowledged."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int], tuple[DownCommand, int]] = {}

    def send(self, kept: DownCommand, store_id: str, now: Now) -> list[ParentEffect]:
        """Send one command, for this store of the child alone."""
        self._sent[kept.down_log, kept.number] = (kept, now.uptime_ms)
        command = kept.command
        frame = fr.CommandFrame(
            kept.down_log,
            kept.number,
            store_id,
            command.id,
            command.device,
            command.actor,
            command.action,
            command.params,
            kept.deadline_wall_ms,
            command.respond_to,
        )
        return [Send(frame), Timer(now.uptime_ms + REPEAT_MS)]

    def taken(self, down_log: str, ranges: RangeSet) -> None:
        """Forget what the child has."""
        for place in list(self._sent):
            if place[0] == down_log and place[1] in ranges:
                del self._sent[place]

    def repeat(self, store_id: str, now: Now) -> list[ParentEffect]:
        """Send again what is unanswered; drop what is over."""
        effects: list[ParentEffect] = []
        for place, (kept, sent_ms) in list(self._sent.items()):
            if kept.deadline_wall_ms <= now.wall_ms:
                del self._sent[place]
            elif now.uptime_ms >= sent_ms + REPEAT_MS:
                effects.extend(self.send(kept, store_id, now))
        if self._sent and not effects:
            effects.append(Timer(now.uptime_ms + REPEAT_MS))
        return effects
