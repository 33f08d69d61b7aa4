"""Devices that print one JSON object a line, and take commands the same way.

{"id":"greenhouse-1","temperature":21.53,"env":{"h":48.2}}   ->  temperature, env_h of greenhouse-1
{"id":"greenhouse-1","cmd":7,"set":{"valve":true}}           <-  a command, numbered
{"cmd":7,"ok":true,"valve":true}                             ->  its answer (or "error":"stuck")
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from drivers.texts import device_id, is_name, is_scalar, is_writable
from drivers.units import unit_of
from gateway.driver.contract import Driver, LinkKind, Request, counters_of
from gateway.driver.framing import MOST_LINE_BYTES, LineFramer
from gateway.errors import UnsupportedCommandError
from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult, Outcome
from gateway.model.reading import Event, HardwareId, Reading, Scalar

MOST_QUANTITIES = 64  # of one line, and names whose unit is remembered = 16 times that
MOST_DEVICES = 256  # whose hardware id is remembered
MOST_WAITING = 16  # commands without an answer yet; the oldest is forgotten
MOST_NUMBER = 9999  # commands are numbered in four digits: a small board's buffer is small
ACTION = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}\Z")


class Settings(BaseModel):
    """Keys of a `line-json` device."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id_key: str = Field("id", description="Key that tells devices behind one port apart.")
    units: dict[str, str] = Field(
        default_factory=dict, description="Unit of a quantity, where its name does not tell."
    )
    most_line_bytes: int = Field(
        MOST_LINE_BYTES, ge=16, le=65536, description="Longest line taken, in bytes."
    )
    answers_commands: bool = Field(
        default=True, description="Whether the device answers commands; if not, written is done."
    )
    answer_timeout_ms: int = Field(
        2000, ge=10, le=60_000, description="How long an answer may take, in milliseconds."
    )


class LineJsonCodec:
    """The pure part: bytes in, readings and answers out."""

    def __init__(self, settings: Settings, origin: str) -> None:
        self._settings = settings
        self._origin = HardwareId(origin)
        self._framer = LineFramer(settings.most_line_bytes)
        self._hardware_ids: dict[str, HardwareId] = {}
        self._units: dict[str, str] = {}
        self._waiting: dict[int, str] = {}  # our number -> command id
        self._number = 0
        self.good = 0
        self.garbled = 0

    def feed(self, item: bytes, at: Stamp) -> Sequence[Reading | Event | CommandResult]:
        """Return what the completed lines say."""
        said: list[Reading | Event | CommandResult] = []
        for line in self._framer.feed(item):
            value = _parsed(line)
            if not isinstance(value, dict) or not self._take(value, at, said):
                self.garbled += 1
            else:
                self.good += 1
        return said

    def poll(self) -> Request[bytes] | None:
        """Return None: the device talks by itself."""
        return None

    def encode(self, command: Command) -> Request[bytes]:
        """Return the line for a command to the one device of this port."""
        return self.encode_to(self._origin, command)

    def encode_to(self, hardware_id: HardwareId, command: Command) -> Request[bytes]:
        """Return the line for a command to one of the devices of this port."""
        settings = self._settings
        if not ACTION.match(command.action) or command.action in ("cmd", settings.id_key):
            raise UnsupportedCommandError(
                f"a line-json device cannot be told to {command.action[:40]!r}",
                code="GW-1701",
                hint="use `set`, or a word of letters, digits, `-` and `_`",
            )
        self._number = self._number % MOST_NUMBER + 1
        if len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[self._number] = command.id
        line: dict[str, object] = {}
        if hardware_id != self._origin:
            line[settings.id_key] = hardware_id[len(self._origin) + 1 :]
        line["cmd"] = self._number
        line[command.action] = dict(command.params)
        return Request(
            json.dumps(line, separators=(",", ":")).encode() + b"\n",
            timeout_ms=settings.answer_timeout_ms,
            command_id=command.id,
            expects_answer=settings.answers_commands,
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """Return how many lines were good, garbled and too long."""
        return {"good": self.good, "garbled": self.garbled, "overlong": self._framer.overlong}

    def _take(
        self,
        line: dict[str, object],
        at: Stamp,
        said: list[Reading | Event | CommandResult],
    ) -> bool:
        if "cmd" in line:
            answer = self._answer(line)
            if answer is not None:
                said.append(answer)
            return answer is not None
        hardware_id: HardwareId | None = self._origin
        id_key = self._settings.id_key
        if id_key in line:
            hardware_id = self._hardware_id(line.pop(id_key))
        if hardware_id is None or len(line) > MOST_QUANTITIES:
            return False
        self._read(hardware_id, line, at, said)
        return True

    def _read(
        self,
        hardware_id: HardwareId,
        line: dict[str, object],
        at: Stamp,
        said: list[Reading | Event | CommandResult],
    ) -> None:
        units = self._units
        for name, value in line.items():
            for quantity, scalar in (
                _flattened(name, value) if value.__class__ is dict else ((name, value),)
            ):
                unit = units.get(quantity)
                if unit is None and (unit := self._learned(quantity)) is None:
                    continue
                if is_scalar(scalar):
                    said.append(Reading(hardware_id, quantity, scalar, unit, at))

    def _learned(self, quantity: str) -> str | None:
        if not is_name(quantity) or not is_writable(quantity):
            return None
        if len(self._units) >= MOST_QUANTITIES * 16:
            self._units.clear()
        unit = self._units[quantity] = unit_of(quantity, self._settings.units)
        return unit

    def _hardware_id(self, value: object) -> HardwareId | None:
        key = device_id(value)
        if key is None or not is_writable(key):
            return None
        known = self._hardware_ids.get(key)
        if known is None:
            if len(self._hardware_ids) >= MOST_DEVICES:
                self._hardware_ids.clear()
            known = self._hardware_ids[key] = HardwareId(f"{self._origin}/{key}")
        return known

    def _answer(self, line: dict[str, object]) -> CommandResult | None:
        number = line.pop("cmd")
        if not isinstance(number, int) or isinstance(number, bool) or number not in self._waiting:
            return None
        line.pop(self._settings.id_key, None)
        is_ok = line.pop("ok", True) is not False
        error = line.pop("error", None)
        data: dict[str, Scalar] = {
            name: value
            for key, parsed in line.items()
            for name, value in _flattened(key, parsed)
            if is_name(name) and is_writable(name) and is_scalar(value)
        }
        outcome = Outcome.DONE if is_ok and error is None else Outcome.REFUSED
        detail = str(error) if is_scalar(error) else ""
        return CommandResult(self._waiting.pop(number), outcome, detail, data)


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # thousands of brackets are garbage too
        return None


def _flattened(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for inner, scalar in value.items():
            yield f"{name}_{inner}", scalar
    else:
        yield name, value


DRIVER = Driver(
    name="line-json",
    link=LinkKind.SERIAL,
    settings=Settings,
    open=LineJsonCodec,
    summary="one JSON object a line; several devices by id; takes commands",
    default_baud=115_200,
    replay_period_ms=2000,
    counters=counters_of,
)
