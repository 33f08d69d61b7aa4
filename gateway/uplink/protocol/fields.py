"""How each kind of frame field is written as JSON and read back: one row per kind, every bound checked on reading."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.model.clock import Anchor
from gateway.model.device import is_uuid, normalised
from gateway.model.log_ports import LogState
from gateway.model.message import Lane, Refusal
from gateway.model.ranges import RangeSet

MOST_NUMBER = (1 << 63) - 1  # what SQLite holds in an integer
MOST_SPANS = 64  # invariant I10
MOST_REFUSED = 16_384  # what a parent holds unconfirmed (8,192), and one block's worth
MOST_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Field:
    """A pair of functions; `read` raises ValueError or TypeError for what it does not accept."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


def number(least: int = 0, most: int = MOST_NUMBER) -> Field:
    """Return the field of an integer within bounds."""

    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"not a number of {least}..{most}")
        return value

    return Field(_same, read)


def text(most: int = MOST_TEXT) -> Field:
    """Return the field of a text of bounded length."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(f"not a text of at most {most} characters")
        return value

    return Field(_same, read)


def _read_uuid(value: Any) -> str:
    if not isinstance(value, str) or not is_uuid(value):
        raise ValueError("not a uuid")
    return normalised(value)


def _read_log(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 32 or not set(value) <= set("0123456789abcdef"):
        raise ValueError("not 32 hex digits")
    return value


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def _read_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _read_scalars(value: Any) -> dict[str, Any]:
    pairs = _read_object(value)
    if len(pairs) > 256 or not all(isinstance(v, str | int | float | bool) for v in pairs.values()):
        raise ValueError("not a small object of plain values")
    return pairs


def _write_spans(ranges: RangeSet) -> list[list[int]]:
    # A part of the ranges is as true as all of them: the rest is said again when these have merged.
    return [[first, last] for first, last in ranges.spans[:MOST_SPANS]]


def spans(value: Any, most: int = MOST_SPANS) -> RangeSet:
    """Read [[first, last], ...] as a RangeSet."""
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"not a list of at most {most} ranges")
    return RangeSet.of((_count(first), _count(last)) for first, last in value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 < value <= MOST_NUMBER:
        raise ValueError("not a record number")
    return value


def _write_refused(refused: Mapping[int, Refusal]) -> dict[str, list[list[int]]]:
    by_code: dict[str, list[tuple[int, int]]] = {}
    for n, code in refused.items():
        by_code.setdefault(code.value, []).append((n, n))
    return {code: [list(pair) for pair in RangeSet.of(v).spans] for code, v in by_code.items()}


def _read_refused(value: Any) -> dict[int, Refusal]:
    refused: dict[int, Refusal] = {}
    for code, pairs in _read_object(value).items():
        ranges = spans(pairs, MOST_REFUSED)
        if len(ranges) + len(refused) > MOST_REFUSED:
            raise ValueError("too many refusals")
        refused.update(dict.fromkeys(ranges.numbers(), Refusal(code)))
    return refused


def optional(field: Field) -> Field:
    """Return the field of a value that may be null."""
    return Field(
        lambda value: None if value is None else field.write(value),
        lambda value: None if value is None else field.read(value),
    )


def listed(field: Field, most: int) -> Field:
    """Return the field of a tuple of values."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"not a list of at most {most}")
        return tuple(field.read(item) for item in value)

    return Field(lambda value: [field.write(item) for item in value], read)


def mapped(field: Field, most: int) -> Field:
    """Return the field of a mapping from short texts to values."""

    def read(value: Any) -> dict[str, Any]:
        pairs = _read_object(value)
        if len(pairs) > most:
            raise ValueError(f"more than {most} entries")
        return {key: field.read(item) for key, item in pairs.items()}

    return Field(lambda value: {key: field.write(item) for key, item in value.items()}, read)


def _write_log_state(state: LogState) -> list[Any]:
    closed = dict(state.device_numbers) if state.is_closed else None
    return [state.log, state.first_held, state.last, closed, state.started_ms]


def _read_log_state(value: Any) -> LogState:
    log, first_held, last, closed, started_ms = value
    return LogState(
        _read_log(log),
        COUNT.read(first_held),
        COUNT.read(last),
        closed is not None,
        COUNT.read(started_ms),
        {} if closed is None else NUMBERS.read(closed),
    )


def _write_anchor(anchor: Anchor) -> list[Any]:
    return [anchor.boot_id, anchor.uptime_ms, anchor.wall_ms, anchor.error_ms]


def _read_anchor(value: Any) -> Anchor:
    boot_id, uptime_ms, wall_ms, error_ms = value
    return Anchor(
        NAME.read(boot_id), *(COUNT.read(item) for item in (uptime_ms, wall_ms, error_ms))
    )


COUNT = number()
NAME = text(128)
TEXT = text()
UUID = Field(_same, _read_uuid)
LOG = Field(_same, _read_log)
FLAG = Field(_same, _read_flag)
OBJECT = Field(_same, _read_object)
SCALARS = Field(dict, _read_scalars)
ANYTHING = Field(_same, _same)
RANGES = Field(_write_spans, spans)
REFUSED = Field(_write_refused, _read_refused)
LANE = Field(int, Lane)
NUMBERS = mapped(COUNT, 65536)
LOG_STATE = Field(_write_log_state, _read_log_state)
ANCHOR = Field(_write_anchor, _read_anchor)
