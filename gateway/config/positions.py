"""On which line of a TOML text a key stands; tomllib does not tell.

Reads only texts that tomllib has accepted, so it does not judge: it walks keys, strings and brackets.
"""

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
SKIPPED = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'",
    re.DOTALL,
)
SCALAR = re.compile(r"[^,\]}#\n]+")


class Positions:
    """Lines of keys; an unknown path has the line of its nearest known table."""

    def __init__(self, text: str) -> None:
        self._lines = _Walk(text).lines

    def line_of(self, path: Path) -> int:
        """Return the line (from 1) of a key, of the table it would stand in, or 1."""
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return 1


class _Walk:
    """One pass over a text; `lines` maps paths (array items by index) to line numbers."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._counted_at, self._counted_line = 0, 1
        self._items: dict[Path, int] = {}  # arrays of tables: how many items so far
        self._found: dict[Path, int] = {}
        table: Path = ()
        while self._skip():
            if self._peek("[["):
                table = self._array_header()
            elif self._peek("["):
                table = self._header()
            else:
                self._pair(table)

    @property
    def lines(self) -> Mapping[Path, int]:
        """Return path -> line."""
        return self._found

    def _skip(self) -> bool:
        found = SKIPPED.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at < len(self._text)

    def _peek(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _note(self, path: Path) -> None:
        self._counted_line += self._text.count("\n", self._counted_at, self._at)
        self._counted_at = self._at
        self._found.setdefault(path, self._counted_line)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip()
            quoted = STRING.match(self._text, self._at)
            found = quoted or BARE_KEY.match(self._text, self._at)
            if found is None:  # never for a text that tomllib accepts; do not loop for ever
                self._at = len(self._text)
                return parts
            raw = found.group()
            parts.append(str(tomllib.loads(f"k = {raw}")["k"]) if quoted else raw)
            self._at = found.end()
            self._skip()
            if not self._peek("."):
                return parts
            self._at += 1

    def _resolved(self, parts: list[str]) -> Path:
        path: Path = ()
        for part in parts:
            path = (*path, part)
            if path in self._items:
                path = (*path, self._items[path] - 1)
        return path

    def _header(self) -> Path:
        start = self._at
        self._at += 1
        path = self._resolved(self._key())
        end = self._at + 1
        self._at = start
        self._note(path)
        self._at = end
        return path

    def _array_header(self) -> Path:
        start = self._at
        self._at += 2
        parts = self._key()
        array = (*self._resolved(parts[:-1]), *parts[-1:])
        index = self._items.get(array, 0)
        self._items[array] = index + 1
        end = self._at + 2
        self._at = start
        self._note(array)
        self._note((*array, index))
        self._at = end
        return (*array, index)

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        parts = self._key()
        end, self._at = self._at, start
        for part in parts:
            path = (*path, part)
            self._note(path)
        self._at = end + 1  # the equals sign
        self._skip()
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._peek("{"):
            self._inline_table(path)
        elif self._peek("["):
            self._array(path)
        else:
            found = STRING.match(self._text, self._at) or SCALAR.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip() and not self._peek("}"):
            if self._peek(","):
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._skip() and not self._peek("]"):
            if self._peek(","):
                self._at += 1
            else:
                self._note((*path, index))
                self._value((*path, index))
                index += 1
        self._at += 1
