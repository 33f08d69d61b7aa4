"""The last three configurations that a node has started with, for the day when the file is broken."""

from collections.abc import Callable, Sequence
from pathlib import Path

KEPT = 3

Write = Callable[[Path, bytes], None]
"""Replaces a file so that a power cut leaves the old bytes or the new ones."""


class LastGood:
    """Copies in one folder, newest first: `gateway.1.toml` to `gateway.3.toml`."""

    def __init__(self, folder: Path, write: Write) -> None:
        self._folder = folder
        self._write = write

    def keep(self, text: str) -> None:
        """Keep a text as the newest copy, unless it already is; raises OSError as the disk gives it."""
        held = [copy.read_bytes() for copy in self.copies()]
        raw = text.encode()
        if held[:1] == [raw]:
            return
        kept = [raw, *(other for other in held if other != raw)][:KEPT]
        # Oldest first: a power cut in between repeats a copy, and never loses the newest.
        for number in range(len(kept), 0, -1):
            self._write(self._path(number), kept[number - 1])

    def copies(self) -> Sequence[Path]:
        """Return the copies there are, newest first."""
        paths = [self._path(number) for number in range(1, KEPT + 1)]
        return [path for path in paths if path.exists()]

    def _path(self, number: int) -> Path:
        return self._folder / f"gateway.{number}.toml"
