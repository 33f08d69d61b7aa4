"""What time it is at the parent, as far as round trips tell, and how wrong that may be."""

from dataclasses import dataclass

from gateway.model.clock import Anchor

DRIFT = 100e-6  # 100 ppm: the worst crystals of cheap boards
STEP_MS = 500  # a parent clock that moves further than this was set (sync rules, section 5)
MOST_COMMAND_ERROR_MS = 1_000
SHARE_OF_REST = 10  # a deadline is usable if the error is below a tenth of what remains


@dataclass(frozen=True, slots=True)
class Offset:
    """At `uptime_ms` here it was `wall_ms` there, give or take `error_ms`."""

    uptime_ms: int
    wall_ms: int
    error_ms: int

    def wall_at(self, uptime_ms: int) -> int:
        """Return the parent's wall time at a moment of this boot."""
        return self.wall_ms + uptime_ms - self.uptime_ms

    def error_at(self, uptime_ms: int) -> int:
        """Return the error at a later moment: crystals drift."""
        return self.error_ms + int((uptime_ms - self.uptime_ms) * DRIFT) + 1


class ParentClock:
    """The best measurement of this session."""

    def __init__(self) -> None:
        self.offset: Offset | None = None

    def measured(self, asked_ms: int, wall_ms: int, now_ms: int) -> bool:
        """Take in a round trip; returns whether the parent's clock is new to us or has stepped."""
        if not 0 <= asked_ms <= now_ms:
            return False
        half = (now_ms - asked_ms + 1) // 2
        fresh = Offset(asked_ms + half, wall_ms, half)
        known = self.offset
        if known is None:
            self.offset = fresh
            return True
        away = abs(known.wall_at(now_ms) - fresh.wall_at(now_ms))
        stepped = away > STEP_MS + known.error_at(now_ms) + fresh.error_ms
        if stepped or fresh.error_ms <= known.error_at(now_ms):
            self.offset = fresh
        return stepped

    def deadline(self, deadline_wall_ms: int, now_ms: int) -> int | None:
        """Return a parent's deadline in this machine's uptime, early rather than late; None if it can't be told."""
        if self.offset is None:
            return None
        error = self.offset.error_at(now_ms)
        rest = deadline_wall_ms - self.offset.wall_at(now_ms)
        if error > MOST_COMMAND_ERROR_MS or error * SHARE_OF_REST > rest:
            return None
        return now_ms + rest - error

    def anchor(self, boot_id: str) -> Anchor | None:
        """Return the measurement as an anchor of this boot."""
        if self.offset is None:
            return None
        return Anchor(boot_id, self.offset.uptime_ms, self.offset.wall_ms, self.offset.error_ms)
