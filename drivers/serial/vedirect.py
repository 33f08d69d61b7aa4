r"""Victron VE.Direct text mode: battery monitors, solar chargers, inverters; 19200 8N1, one block a second.

A block is lines `\r\nLABEL\tVALUE`, the last one `\r\nChecksum\tX`, and all its bytes sum to 0 modulo 256. X is
any byte, a line feed too, so a line reader breaks here: this is a state machine. Between lines a device may put a HEX
message (`:7F0ED009600DB\n`), which is no part of the sum (Victron, "VE.Direct Protocol", version 3.33, section 1).
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from drivers.tables.vedirect import LABELS, Label
from gateway.driver.contract import Driver, LinkKind, Request, counters_of
from gateway.errors import UnsupportedCommandError
from gateway.model.clock import Stamp
from gateway.model.command import Command, CommandResult
from gateway.model.reading import Event, HardwareId, Reading, Scalar

MOST_LABEL_BYTES = 9  # the field list's longest label has 8 characters ("Checksum")
MOST_VALUE_BYTES = 33  # the protocol says 33 at most
MOST_HEX_BYTES = 256
MOST_FIELDS = 64  # the protocol says 22; newer firmware sends a few more
CHECKSUM = b"Checksum"

LF, CR, TAB, COLON = 0x0A, 0x0D, 0x09, 0x3A
SEEK, LABEL, VALUE, SUM, HEX = range(5)


class Settings(BaseModel):
    """A VE.Direct device has no keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VeDirectCodec:
    """The pure part: one byte after another, so no cut can matter; a block is taken whole or not at all."""

    def __init__(self, settings: Settings, origin: str) -> None:
        del settings
        self._hardware_id = HardwareId(origin)
        self._state = SEEK
        self._resume = SEEK  # where a HEX message interrupted
        self._hex_bytes = 0
        self._sum = 0
        self._label = bytearray()
        self._value = bytearray()
        self._fields: dict[bytes, bytes] = {}
        self._identity: dict[str, Scalar] = {}  # what does not change is said once
        self.good = 0
        self.garbled = 0

    def feed(self, item: bytes, at: Stamp) -> Sequence[Reading | Event | CommandResult]:
        """Return the readings of the blocks that these bytes complete."""
        said: list[Reading | Event | CommandResult] = []
        for byte in item:
            state = self._state
            if state == HEX:
                self._skip_hex(byte)
            elif state == SUM:
                self._sum += byte
                self._end(at, said)
            elif byte == COLON:
                self._state, self._resume, self._hex_bytes = HEX, state, 0
            else:
                self._sum += byte
                self._take(state, byte)
        return said

    def poll(self) -> Request[bytes] | None:
        """Return None: the device talks by itself."""
        return None

    def encode(self, command: Command) -> Request[bytes]:
        """Refuse: text mode only talks."""
        raise UnsupportedCommandError(
            f"a vedirect device takes no commands, so not {command.action[:40]!r}",
            code="GW-1701",
            hint="VE.Direct's text mode only reports; settings are made with VictronConnect",
        )

    @property
    def counters(self) -> Mapping[str, int]:
        """Return how many blocks were good and garbled."""
        return {"good": self.good, "garbled": self.garbled}

    def _take(self, state: int, byte: int) -> None:
        if byte == LF:
            self._close_field()
        elif state == LABEL:
            if byte == TAB:
                self._state = SUM if self._label == CHECKSUM else VALUE
            elif len(self._label) < MOST_LABEL_BYTES:
                self._label.append(byte)
            else:
                self._spoil()
        elif state == VALUE and byte != CR:
            if len(self._value) < MOST_VALUE_BYTES:
                self._value.append(byte)
            else:
                self._spoil()

    def _close_field(self) -> None:
        if self._state == VALUE and len(self._fields) < MOST_FIELDS:
            self._fields[bytes(self._label)] = bytes(self._value)
        self._label.clear()
        self._value.clear()
        self._state = LABEL

    def _spoil(self) -> None:
        # Not VE.Direct: wait for the next line. The sum keeps counting, so this block will fail as it should.
        self._label.clear()
        self._value.clear()
        self._state = SEEK

    def _skip_hex(self, byte: int) -> None:
        self._hex_bytes += 1
        if byte == LF:
            self._state = self._resume
        elif self._hex_bytes > MOST_HEX_BYTES:
            self._spoil()

    def _end(self, at: Stamp, said: list[Reading | Event | CommandResult]) -> None:
        if self._sum & 0xFF:
            self.garbled += 1
        elif self._fields:
            self.good += 1
            said.extend(self._readings(at))
        self._sum = 0
        self._fields.clear()
        self._label.clear()
        self._value.clear()
        self._state = SEEK

    def _readings(self, at: Stamp) -> list[Reading]:
        readings = []
        for name, text in self._fields.items():
            label = LABELS.get(name)
            if label is None:
                continue
            value = label.read(text.decode("ascii", "replace"))
            if value is None or (label.is_identity and self._is_known(label, value)):
                continue
            readings.append(Reading(self._hardware_id, label.quantity, value, label.unit, at))
        return readings

    def _is_known(self, label: Label, value: Scalar) -> bool:
        if self._identity.get(label.quantity) == value:
            return True
        self._identity[label.quantity] = value
        return False


DRIVER = Driver(
    name="vedirect",
    link=LinkKind.SERIAL,
    settings=Settings,
    open=VeDirectCodec,
    summary="Victron battery monitors, solar chargers and inverters (VE.Direct text)",
    default_baud=19_200,
    replay_period_ms=1000,
    counters=counters_of,
)
