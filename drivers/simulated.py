"""Two devices without hardware whose values move: a room's climate and a switchable power meter. The same every time."""

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from gateway.driver.contract import Driver, LinkKind, Request, counters_of
from gateway.driver.framing import LineFramer
from gateway.errors import UnsupportedCommandError
from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult
from gateway.model.reading import Event, HardwareId, Reading

RELAY_LINE = b"relay "
LOAD_W = 180.0


class Settings(BaseModel):
    """Keys of the simulation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    period_s: float = Field(
        300.0, gt=0, description="Time in which the values swing once around, in seconds."
    )


class SimulatedCodec:
    """Each line that is fed makes one observation of both devices; values depend on the stamp alone."""

    def __init__(self, settings: Settings, origin: str) -> None:
        self._settings = settings
        self._climate = HardwareId(f"{origin}/climate")
        self._power = HardwareId(f"{origin}/power")
        self._framer = LineFramer()
        self._is_on = True
        self._ticks = 0

    def feed(self, item: bytes, at: Stamp) -> Sequence[Reading | Event | CommandResult]:
        """Return what both devices show at `at`, once a line."""
        said: list[Reading | Event | CommandResult] = []
        for _ in self._framer.feed(item):
            self._ticks += 1
            said += self._observed(at)
        return said

    def poll(self) -> Request[bytes] | None:
        """Return None: the link ticks by itself."""
        return None

    def encode(self, command: Command) -> Request[bytes]:
        """Return the line that switches the power meter's relay; it takes effect at once."""
        relay = command.params.get("relay")
        if command.action != "set" or not isinstance(relay, bool):
            raise UnsupportedCommandError(
                f"the simulated device has no {command.action[:40]!r} with these values",
                code="GW-1701",
                hint='send {"topic":"set","payload":{"relay":true}}',
            )
        self._is_on = relay
        return Request(
            RELAY_LINE + (b"on\n" if relay else b"off\n"), timeout_ms=1000, command_id=command.id
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """Return how often both devices were observed."""
        return {"good": self._ticks}

    def _observed(self, at: Stamp) -> list[Reading]:
        turn = 2 * math.pi * at.uptime_ms / 1000 / self._settings.period_s
        ripple = math.sin(turn * 17)
        load = LOAD_W + 60 * math.sin(turn * 3) + 9 * ripple if self._is_on else 0.0
        values: tuple[tuple[HardwareId, str, float | bool, str], ...] = (
            (self._climate, "temperature", 21.5 + 2.5 * math.sin(turn) + 0.15 * ripple, "Cel"),
            (self._climate, "humidity", 48 - 7 * math.sin(turn) + 0.4 * ripple, "%RH"),
            (self._power, "power", load, "W"),
            (self._power, "voltage", 230 + 1.5 * math.sin(turn * 5), "V"),
            (self._power, "relay", self._is_on, ""),
        )
        return [
            Reading(device, name, value if isinstance(value, bool) else round(value, 2), unit, at)
            for device, name, value, unit in values
        ]


DRIVER = Driver(
    name="simulated",
    link=LinkKind.SERIAL,
    settings=Settings,
    open=SimulatedCodec,
    summary="two devices without hardware: room climate and a power meter",
    replay_period_ms=2000,
    counters=counters_of,
)
