"""Structured logs: equal messages counted, secrets hidden, levels changed at run time, the last lines kept."""

import asyncio
import logging
import os
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from gateway.errors import ConfigError
from gateway.runtime.log_lines import (
    OWN_PREFIX,
    Secrets,
    component_of,
    fields_of,
    json_line,
    text_line,
)

KEPT_LINES = 500
MOST_COUNTED = 256  # different messages watched for repeats at a time
REPEAT_WINDOW_S = 60.0
LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FOREIGN_PREFIXES = ("drivers", "asyncio", "uvicorn", "bleak", "paho", "amqtt")

Key = tuple[object, ...]


@dataclass(slots=True)
class _Repeats:
    record: logging.LogRecord  # the first one, which was written
    since_s: float
    count: int = 0


class LogHandler(logging.Handler):
    """Writes records to a stream and keeps the last lines; equal ones within a minute are counted."""

    def __init__(
        self,
        stream: TextIO,
        *,
        as_json: bool = False,
        for_journal: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._as_json = as_json
        self._for_journal = for_journal
        self._now = now
        self._counted: OrderedDict[Key, _Repeats] = OrderedDict()
        self.secrets = Secrets()
        self.kept: deque[str] = deque(maxlen=KEPT_LINES)
        self.listeners: list[Callable[[str], None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it when the same was written less than a minute ago."""
        now = self._now()
        self._flush_due(now)
        key = _sameness(record)
        seen = self._counted.get(key)
        if seen is not None:
            seen.count += 1
            return
        self._counted[key] = _Repeats(record, now)
        if len(self._counted) > MOST_COUNTED:
            self._summarise(self._counted.popitem(last=False)[1], now)
        self._write(record, record.getMessage(), fields_of(record))

    def flush_repeats(self, *, every: bool = False) -> None:
        """Write the counts whose minute is over, or all of them."""
        with self.lock or threading.Lock():
            self._flush_due(float("inf") if every else self._now())

    def _flush_due(self, now: float) -> None:
        # Entries stand in order of their first time, so the due ones are in front.
        while self._counted:
            key, first = next(iter(self._counted.items()))
            if now - first.since_s < REPEAT_WINDOW_S:
                return
            del self._counted[key]
            self._summarise(first, min(now, self._now()))

    def _summarise(self, seen: _Repeats, now: float) -> None:
        if seen.count == 0:
            return
        event = f"{seen.record.getMessage()} (repeated {seen.count} times)"
        fields = {**fields_of(seen.record), "within_s": round(now - seen.since_s)}
        again = logging.makeLogRecord({**vars(seen.record), "exc_info": None})
        again.created = time.time()
        self._write(again, event, fields)

    def _write(self, record: logging.LogRecord, event: str, fields: Mapping[str, Any]) -> None:
        entry: dict[str, Any] = {
            "at_ms": int(record.created * 1000),
            "level": record.levelname,
            "component": component_of(record.name),
            "event": self.secrets.cleaned(event),
            "fields": self.secrets.cleaned_fields(fields),
        }
        if record.exc_info and record.exc_info[0] is not None:
            trace = logging.Formatter().formatException(record.exc_info)
            entry["trace"] = self.secrets.cleaned(trace)
        line = text_line(entry)
        self.kept.append(line)
        for listener in self.listeners:
            listener(line)
        if self._as_json:
            line = json_line(entry)
        elif self._for_journal:
            line = text_line(entry, for_journal=True)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.handleError(record)  # a full pipe or a closed terminal must not end the node


def _sameness(record: logging.LogRecord) -> Key:
    """Return what makes two records equal: numbers in fields (delays, counts) may differ."""
    texts = tuple(
        (name, value) for name, value in fields_of(record).items() if isinstance(value, str)
    )
    failure = record.exc_info[0] if record.exc_info else None
    return (record.name, record.levelno, record.getMessage(), texts, failure)


class Logs:
    """The logging of one process. Levels may be changed at any time."""

    def __init__(self, handler: LogHandler, *, level: str, levels: Mapping[str, str]) -> None:
        self._handler = handler
        self._timer: asyncio.TimerHandle | None = None
        self._changed: dict[str, int] = {}
        root = logging.getLogger()
        self._before = (root.handlers[:], root.level)
        root.handlers[:] = [handler]
        self.set_level("", level)
        for component, chosen in levels.items():
            self.set_level(component, chosen)

    def set_level(self, component: str, level: str) -> None:
        """Set the level of a component (`uplink`, `drivers.serial`), or with "" of everything.

        Raises ConfigError GW-1403 for a level that there is not.
        """
        number = LEVELS.get(level.lower())
        if number is None:
            raise ConfigError(
                f"there is no log level {level!r}",
                code="GW-1403",
                hint="use one of " + ", ".join(LEVELS),
            )
        name = logger_name(component)
        self._changed.setdefault(name, logging.getLogger(name).level)
        logging.getLogger(name).setLevel(number)

    def levels(self) -> dict[str, str]:
        """Return the levels in force, by component."""
        return {
            component_of(name) or "all": logging.getLevelName(logging.getLogger(name).level).lower()
            for name in self._changed
        }

    def tail(self, count: int) -> list[str]:
        """Return the last lines, oldest first."""
        return list(self._handler.kept)[-count:] if count > 0 else []

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with each line from now on (in the logging thread); returns what ends it."""
        self._handler.listeners.append(listener)
        return lambda: self._handler.listeners.remove(listener)

    def hide(self, secrets: Iterable[str]) -> None:
        """Keep these texts out of every line."""
        self._handler.secrets.hide(secrets)

    def start_timer(self) -> None:
        """From now on write counts of repeats when their minute is over, even if nothing else is logged."""
        loop = asyncio.get_running_loop()

        def due() -> None:
            self._handler.flush_repeats()
            self._timer = loop.call_later(REPEAT_WINDOW_S / 2, due)

        self._timer = loop.call_later(REPEAT_WINDOW_S / 2, due)

    def close(self) -> None:
        """Write what was counted, and give the process its former logging back."""
        if self._timer is not None:
            self._timer.cancel()
        self._handler.flush_repeats(every=True)
        root = logging.getLogger()
        root.handlers[:], level = self._before
        for name, number in self._changed.items():
            logging.getLogger(name).setLevel(number)
        root.setLevel(level)


def logger_name(component: str) -> str:
    """Return the logger of a component; "" and "all" are the root."""
    if component in ("", "all"):
        return ""
    if component == "gateway" or component.startswith((OWN_PREFIX, *FOREIGN_PREFIXES)):
        return component
    return OWN_PREFIX + component


def open_logs(
    *,
    level: str = "info",
    levels: Mapping[str, str] | None = None,
    style: Literal["text", "json"] = "text",
    stream: TextIO | None = None,
) -> Logs:
    """Begin logging to `stream` (standard error); under systemd lines carry their severity, not the time."""
    for_journal = stream is None and "JOURNAL_STREAM" in os.environ
    handler = LogHandler(stream or sys.stderr, as_json=style == "json", for_journal=for_journal)
    return Logs(handler, level=level, levels=levels or {})
