"""Numbers for Prometheus: names and callables, read only when somebody asks for `/metrics`."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Samples = float | int | Iterable[tuple[Labels, float]]
Read = Callable[[], Samples]


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    read: Read


class Metrics:
    """The table of what can be read; a later metric of the same name replaces the earlier one."""

    def __init__(self) -> None:
        self._families: dict[str, _Family] = {}

    def counter(self, name: str, meaning: str, read: Read) -> None:
        """Add a number that only grows; its name ends in `_total`."""
        self._families[name] = _Family(name, "counter", meaning, read)

    def gauge(self, name: str, meaning: str, read: Read) -> None:
        """Add a number that goes up and down; its name ends in its unit."""
        self._families[name] = _Family(name, "gauge", meaning, read)

    def names(self) -> tuple[str, ...]:
        """Return every metric's name, for the documentation's test."""
        return tuple(self._families)

    def documentation(self) -> tuple[tuple[str, str, str], ...]:
        """Return name, kind and meaning of every metric; nothing is read."""
        return tuple((each.name, each.kind, each.meaning) for each in self._families.values())

    def exposition(self) -> str:
        """Return all of them in the text format."""
        lines: list[str] = []
        for family in self._families.values():
            lines.append(f"# HELP {family.name} {_escaped(family.meaning)}")
            lines.append(f"# TYPE {family.name} {family.kind}")
            found = family.read()
            samples = [({}, found)] if isinstance(found, int | float) else found
            lines += [f"{family.name}{_labels(labels)} {value}" for labels, value in samples]
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_quoted(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', '\\"')


def add_process(metrics: Metrics) -> None:
    """Add what this process uses of the machine."""
    metrics.counter("process_cpu_seconds_total", "CPU time used, user and system.", _cpu_s)
    metrics.gauge("process_resident_memory_bytes", "Memory held in RAM.", resident_bytes)
    metrics.gauge("process_open_fds", "Open files and sockets.", _open_files)


def _cpu_s() -> float:
    return time.process_time()


def resident_bytes() -> int:
    """Return the memory that this process holds in RAM; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return 0
