"""Time as values: a stamp survives a clock that is wrong, because it names the boot it counts from."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment as (boot, milliseconds since that boot, suspend included); see sync rules, section 5."""

    boot_id: str
    uptime_ms: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """`uptime_ms` of `boot_id` was `wall_ms` (Unix epoch, UTC), give or take `error_ms`."""

    boot_id: str
    uptime_ms: int
    wall_ms: int
    error_ms: int

    def wall_of(self, uptime_ms: int) -> int:
        """Return the wall time (epoch ms) of another moment of the same boot."""
        return self.wall_ms + (uptime_ms - self.uptime_ms)


class Clock(Protocol):
    """What time it is; injected everywhere so that tests own it."""

    @property
    def boot_id(self) -> str:
        """Return the identity of this boot of the machine."""
        ...

    def uptime_ms(self) -> int:
        """Return milliseconds since boot, counting suspend (CLOCK_BOOTTIME where there is one)."""
        ...

    def wall_ms(self) -> int:
        """Return what the machine believes the Unix time is, in milliseconds."""
        ...

    def stamp(self) -> Stamp:
        """Return now as a Stamp."""
        ...
