"""How a log record is written: its fields found, its secrets hidden, one line of text or JSON."""

import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

OWN_PREFIX = "gateway."
HIDDEN = "***"
SHORTEST_SECRET = 6  # hiding shorter ones would cut holes into ordinary words
SECRET_FIELD = re.compile(r"token|password|secret|bindkey|pepper", re.IGNORECASE)
BARE = re.compile(r"[^\s=\"']+\Z")

# What every record has; anything else came by `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

JOURNAL_LEVELS = {
    "DEBUG": "<7>",
    "INFO": "<6>",
    "WARNING": "<4>",
    "ERROR": "<3>",
    "CRITICAL": "<2>",
}
"""Prefixes of sd-daemon(3): the journal then knows the severity."""


def component_of(logger: str) -> str:
    """Return a logger's name as people write it: without the package."""
    return logger.removeprefix(OWN_PREFIX)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was given with `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class Secrets:
    """Texts that must not be logged, whoever mentions them."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """Add secrets; very short ones can't be hidden without harm and are left."""
        self._known.update(text for text in secrets if len(text) >= SHORTEST_SECRET)
        longest_first = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if self._known else None

    def cleaned(self, text: str) -> str:
        """Return a text with every known secret replaced."""
        return self._pattern.sub(HIDDEN, text) if self._pattern is not None else text

    def cleaned_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return fields in which named and known secrets are replaced, others made plain JSON."""
        return {
            name: HIDDEN if SECRET_FIELD.search(name) else self._plain(value)
            for name, value in fields.items()
        }

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.cleaned(str(value))


def text_line(entry: Mapping[str, Any], *, for_journal: bool = False) -> str:
    """Return an entry as one line (a traceback follows on lines of its own)."""
    fields = "".join(f"  {name}={_text(value)}" for name, value in entry["fields"].items())
    start = (
        JOURNAL_LEVELS.get(entry["level"], "<6>")
        if for_journal
        else f"{iso(entry['at_ms'])} {entry['level']:<7} "
    )
    trace = "\n" + entry["trace"] if entry.get("trace") else ""
    return f"{start}{entry['component']}: {entry['event']}{fields}{trace}"


def json_line(entry: Mapping[str, Any]) -> str:
    """Return an entry as one JSON object; fields that clash with ours stand below `fields` only."""
    head = {
        "time": iso(entry["at_ms"]),
        "level": entry["level"].lower(),
        "component": entry["component"],
        "event": entry["event"],
    }
    more = {name: value for name, value in entry["fields"].items() if name not in head}
    if entry.get("trace"):
        more["trace"] = entry["trace"]
    return json.dumps({**head, **more}, ensure_ascii=False, separators=(",", ":"))


def _text(value: Any) -> str:
    if isinstance(value, str) and not BARE.match(value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def iso(at_ms: int) -> str:
    """Return epoch milliseconds as ISO 8601 UTC."""
    moment = time.gmtime(at_ms // 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{at_ms % 1000:03d}Z"
