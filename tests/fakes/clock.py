"""A clock that tests own: it moves only when told."""

from gateway.model import Stamp


class FakeClock:
    """Matches `gateway.model.Clock`; wall time and uptime move together unless one is set."""

    def __init__(
        self, *, boot_id: str = "boot-1", uptime_ms: int = 1_000, wall_ms: int = 1_764_000_000_000
    ) -> None:
        self.boot_id = boot_id
        self._uptime_ms = uptime_ms
        self._wall_ms = wall_ms

    def uptime_ms(self) -> int:
        return self._uptime_ms

    def wall_ms(self) -> int:
        return self._wall_ms

    def stamp(self) -> Stamp:
        return Stamp(self.boot_id, self._uptime_ms)

    def advance(self, ms: int) -> None:
        """Let time pass on both clocks."""
        self._uptime_ms += ms
        self._wall_ms += ms

    def step_wall(self, ms: int) -> None:
        """Step the wall clock alone, as a time service does."""
        self._wall_ms += ms

    def reboot(self, boot_id: str) -> None:
        """Start a new boot: uptime begins again, the wall clock goes on."""
        self.boot_id = boot_id
        self._uptime_ms = 500
