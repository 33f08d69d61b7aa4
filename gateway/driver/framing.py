"""Where frames begin and end in a stream of bytes, with a bound on what is kept meanwhile."""

MOST_LINE_BYTES = 4096  # ten times the longest line of any sensor seen; a babbling line ends there


class LineFramer:
    r"""Cuts a stream at `\n` (a `\r` before it goes too), however the bytes arrive.

    A line longer than `most_bytes` is dropped and counted in `overlong`; the next newline is where it goes on.
    With `drops_first` whatever stands before the first newline is dropped: a port opened in mid-line hears
    only the end of it, and `3.25` of `1013.25` is a number too.
    """

    __slots__ = ("_is_skipping", "_most_bytes", "_rest", "overlong")

    def __init__(self, most_bytes: int = MOST_LINE_BYTES, *, drops_first: bool = False) -> None:
        self._most_bytes = most_bytes
        self._rest = b""
        self._is_skipping = drops_first
        self.overlong = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take bytes; return the lines they complete, without their ends and without empty ones."""
        if self._is_skipping:
            _, newline, chunk = chunk.partition(b"\n")
            if not newline:
                return []
            self._is_skipping = False
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > self._most_bytes:
            self._rest = b""
            self._is_skipping = True
            self.overlong += 1
        return [whole for line in lines if self._fits(line) and (whole := line.rstrip(b"\r"))]

    def _fits(self, line: bytes) -> bool:
        if len(line) <= self._most_bytes:
            return True
        self.overlong += 1
        return False
