"""Devices that print one line of fields: `T=21.5;H=48` (key=value) or `1013.25,21.5,48.0` (CSV, columns configured).

Neither has a check, so the line in which the port was opened is dropped: `3.25` of `1013.25` reads like a value.
"""

import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from drivers.texts import device_id, is_name, scalar_of
from drivers.units import unit_of
from gateway.driver.contract import Driver, LinkKind, Request, counters_of
from gateway.driver.framing import MOST_LINE_BYTES, LineFramer
from gateway.errors import UnsupportedCommandError
from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult
from gateway.model.reading import Event, HardwareId, Reading

MOST_FIELDS = 64
MOST_NAMES = 1024  # whose unit is remembered
PAIRS_APART = re.compile(r"[;,&\s]+")


class Settings(BaseModel):
    """Keys of a `line-fields` device."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: list[str] = Field(
        default_factory=list,
        max_length=MOST_FIELDS,
        description='CSV: names of the columns, "" for one to leave out. Unset: key=value.',
    )
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="What stands between fields. Unset: `,` in CSV; any of `; , &` or blanks otherwise.",
    )
    id_key: str = Field("id", description="Key or column that tells devices behind one port apart.")
    units: dict[str, str] = Field(
        default_factory=dict, description="Unit of a quantity, where its name does not tell."
    )
    most_line_bytes: int = Field(
        MOST_LINE_BYTES, ge=16, le=65536, description="Longest line taken, in bytes."
    )
    starts_whole: bool = Field(
        default=False,
        description="The stream is known to begin with a whole line (a capture): do not drop the first.",
    )


class LineFieldsCodec:
    """The pure part; a line is taken whole or not at all."""

    def __init__(self, settings: Settings, origin: str) -> None:
        self._settings = settings
        self._origin = origin
        self._framer = LineFramer(settings.most_line_bytes, drops_first=not settings.starts_whole)
        self._units: dict[str, str] = {}
        self.good = 0
        self.garbled = 0

    def feed(self, item: bytes, at: Stamp) -> Sequence[Reading | Event | CommandResult]:
        """Return what the completed lines say."""
        said: list[Reading | Event | CommandResult] = []
        for line in self._framer.feed(item):
            readings = self._readings(line, at)
            if readings is None:
                self.garbled += 1
            else:
                self.good += 1
                said += readings
        return said

    def poll(self) -> Request[bytes] | None:
        """Return None: the device talks by itself."""
        return None

    def encode(self, command: Command) -> Request[bytes]:
        """Refuse: these devices only talk."""
        raise UnsupportedCommandError(
            f"a line-fields device takes no commands, so not {command.action[:40]!r}",
            code="GW-1701",
            hint="a device that understands JSON lines can use the driver `line-json`",
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """Return how many lines were good, garbled and too long."""
        return {"good": self.good, "garbled": self.garbled, "overlong": self._framer.overlong}

    def _readings(self, line: bytes, at: Stamp) -> list[Reading] | None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return None
        pairs = self._columns(text) if self._settings.columns else self._pairs(text)
        if not pairs:
            return None
        hardware_id = HardwareId(self._origin)
        readings = []
        for name, field in pairs:
            if name == self._settings.id_key:
                key = device_id(field)
                if key is None:
                    return None
                hardware_id = HardwareId(f"{self._origin}/{key}")
            elif name and field.strip():
                value = scalar_of(field)
                if value is None:
                    return None
                readings.append((name, value))
        return [Reading(hardware_id, name, value, self._unit(name), at) for name, value in readings]

    def _columns(self, text: str) -> list[tuple[str, str]] | None:
        fields = text.split(self._settings.separator or ",")
        columns = self._settings.columns
        return list(zip(columns, fields, strict=True)) if len(fields) == len(columns) else None

    def _pairs(self, text: str) -> list[tuple[str, str]] | None:
        separator = self._settings.separator
        words = text.split(separator) if separator else PAIRS_APART.split(text)
        pairs = []
        for word in words:
            if not word.strip():
                continue
            name, equals, field = word.partition("=")
            name = name.strip()
            if not equals or not is_name(name):
                return None
            pairs.append((name, field))
        return pairs if len(pairs) <= MOST_FIELDS else None

    def _unit(self, name: str) -> str:
        unit = self._units.get(name)
        if unit is None:
            if len(self._units) >= MOST_NAMES:
                self._units.clear()
            unit = self._units[name] = unit_of(name, self._settings.units)
        return unit


DRIVER = Driver(
    name="line-fields",
    link=LinkKind.SERIAL,
    settings=Settings,
    open=LineFieldsCodec,
    summary="key=value or CSV lines, columns configured",
    default_baud=9600,
    replay_period_ms=2000,
    counters=counters_of,
)
