"""What a disk holds after a power cut at any point of a recording that `fsync_record.c` made.

A write counts once a sync of its file that began after it has ended; until then it may be there or not.
"""

import random
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("fsync_record.c")
HEAD = struct.Struct("<ciqQ")


class Event(NamedTuple):
    """One call of the recorded process."""

    kind: bytes
    fd: int
    offset: int
    data: bytes


def built(folder: Path) -> Path:
    """Compile the recorder; return the library to preload."""
    library = folder / "fsync_record.so"
    command = ["gcc", "-O2", "-Wall", "-fPIC", "-shared", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


def settings(library: Path, files: str, to: Path) -> dict[str, str]:
    """Return the environment that records what a process does to paths that contain `files`."""
    return {
        "LD_PRELOAD": str(library),
        "FSYNC_RECORD_FILES": files,
        "FSYNC_RECORD_TO": str(to),
    }


def events(recording: Path) -> Iterator[Event]:
    """Read a recording; a record that was cut by the kill ends it."""
    data = recording.read_bytes()
    at = 0
    while at + HEAD.size <= len(data):
        kind, fd, offset, size = HEAD.unpack_from(data, at)
        at += HEAD.size
        payload = data[at : at + size] if kind in b"ownu" else b""
        at += len(payload)
        yield Event(kind, fd, offset, payload)


@dataclass
class File:
    """One file: what is safe, and what is under way, as events in their order."""

    safe: bytearray = field(default_factory=bytearray)
    is_there: bool = False
    waiting: list[Event] = field(default_factory=list)
    begun: int = 0  # how many of those the sync at hand covers

    def settle(self) -> None:
        for event in self.waiting[: self.begun]:
            apply(self.safe, event)
        del self.waiting[: self.begun]
        self.is_there = True


def apply(data: bytearray, event: Event) -> None:
    if event.kind == b"t":
        del data[event.offset :]
        data.extend(bytes(event.offset - len(data)))
        return
    end = event.offset + len(event.data)
    if len(data) < end:
        data.extend(bytes(end - len(data)))
    data[event.offset : end] = event.data


class Disk:
    """The watched files of a recorded process."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self._names: dict[int, str] = {}
        self.syncs = 0

    def take(self, event: Event) -> None:
        """Go on by one event."""
        if event.kind == b"o":
            self._names[event.fd] = Path(event.data.decode()).name
            self.files.setdefault(self._names[event.fd], File())
        if event.kind == b"u":
            self.files.pop(Path(event.data.decode()).name, None)
        if event.kind not in (b"w", b"t", b"s", b"S"):
            return
        file = self.files[self._names[event.fd]]
        if event.kind == b"s":
            file.begun = len(file.waiting)
        elif event.kind == b"S":
            file.settle()
            self.syncs += 1
        else:
            file.waiting.append(event)

    def after_power_cut(self, folder: Path, dice: random.Random | None = None) -> None:
        """Write what is left into a folder; with `dice`, some of the unsynced writes are there as well."""
        folder.mkdir()
        for name, file in self.files.items():
            chosen = [event for event in file.waiting if dice is not None and dice.random() < 0.5]
            if not (file.is_there or chosen):
                continue
            data = bytearray(file.safe)
            for event in chosen:
                apply(data, event)
            (folder / name).write_bytes(data)
