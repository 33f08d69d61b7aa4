"""WebSocket frames (RFC 6455, section 5) as a server reads and writes them; pure.

wsproto shakes hands, but its frames cost four times as much.  Data is given out as it comes, so that no frame, however long
it claims to be, is collected; what waits for its rest is a header or a control frame, 139 bytes at most.
"""

import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
DATA, CONTROL = frozenset({CONTINUATION, TEXT, BINARY}), frozenset({CLOSE, PING, PONG})
FINAL, MASKED, RESERVED, KIND = 0x80, 0x80, 0x70, 0x0F
MOST_SHORT = 125  # bytes that a header of two says, and the most of a control frame
WIDTHS = {126: 2, 127: 8}  # what the size in the header means: so many bytes of size follow
LEAST = {126: 126, 127: 65_536}  # that may be said in that many: the shortest form is a must

NORMAL, PROTOCOL_ERROR, NO_STATUS, BAD_DATA = 1000, 1002, 1005, 1007
SENT_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})  # section 7.4

Event = tuple[int, bytes]
"""(kind, payload); the pieces of a message all have the kind of its first frame."""


class BrokenFrameError(Exception):
    """The client broke the rules: `code` closes the connection."""

    def __init__(self, text: str, code: int = PROTOCOL_ERROR) -> None:
        super().__init__(text)
        self.code = code


class FrameReader:
    """Turns a client's bytes into events."""

    __slots__ = ("_is_final", "_left", "_mask", "_message", "_tail", "broken")

    def __init__(self) -> None:
        self.broken: BrokenFrameError | None = None  # nothing is read after it
        self._tail = b""  # the begin of a frame
        self._left = 0  # bytes that are missing of the payload under way
        self._mask = b""  # of that payload, turned to its next byte
        self._is_final = False  # whether that frame ends its message
        self._message = CONTINUATION  # kind of the message under way; CONTINUATION: none is

    def feed(self, data: bytes) -> list[Event]:
        """Return what has come, in order; `broken` says whether something wrong followed."""
        events: list[Event] = []
        at = 0
        if self._left:
            at = self._go_on(data, events)
        elif self._tail:
            data, self._tail = self._tail + data, b""
        try:
            while at < len(data) and (end := self._frame(data, at, events)):
                at = end
        except BrokenFrameError as error:
            self.broken = error
            return events
        self._tail = data[at:]
        return events

    def _go_on(self, data: bytes, events: list[Event]) -> int:
        """Take more of the payload under way; return where that ends."""
        taken = min(self._left, len(data))
        events.append((self._message, unmasked(data[:taken], self._mask)))
        self._left -= taken
        turn = taken % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        if not self._left and self._is_final:
            self._message = CONTINUATION
        return taken

    def _frame(self, data: bytes, at: int, events: list[Event]) -> int:
        """Take the frame at an offset; return where it ends, or 0 where its header or control frame is not whole."""
        if len(data) - at < 2:
            return 0
        first, said = data[at], data[at + 1] & ~MASKED
        kind = self._kind(first, data[at + 1])
        body, size = at + 2, said
        if said > MOST_SHORT:
            body += WIDTHS[said]
            if len(data) < body:
                return 0
            size = _long(data[at + 2 : body], said)
        start = body + 4
        end = start + size
        if len(data) < (end if kind in CONTROL else start):
            return 0
        mask = data[body:start]
        payload = unmasked(data[start:end], mask)
        if kind in CONTROL:
            events.append((kind, payload))
            return end
        self._is_final = bool(first & FINAL)
        self._begin(kind, payload, events)
        self._left = max(0, end - len(data))
        if self._left:
            turn = len(payload) % 4
            self._mask = mask[turn:] + mask[:turn]
            return len(data)
        if self._is_final:
            self._message = CONTINUATION
        return end

    def _begin(self, kind: int, payload: bytes, events: list[Event]) -> None:
        """Take what is there of a data frame."""
        if kind != CONTINUATION:
            self._message = kind
        if payload:
            events.append((self._message, payload))

    def _kind(self, first: int, second: int) -> int:
        """Return the kind of a frame; raises BrokenFrameError where its first two bytes cannot be."""
        kind = first & KIND
        if first & RESERVED or kind not in DATA | CONTROL:
            raise BrokenFrameError("a frame of a kind that was not agreed on")
        if not second & MASKED:
            raise BrokenFrameError("a frame without a mask")
        if kind in CONTROL:
            if not first & FINAL or second & ~MASKED > MOST_SHORT:
                raise BrokenFrameError("a control frame in pieces, or too long")
        elif (kind == CONTINUATION) is (self._message == CONTINUATION):
            raise BrokenFrameError("a message within another, or the rest of none")
        return kind


def _long(raw: bytes, said: int) -> int:
    """Return a size that takes more than the header's seven bits."""
    size = int.from_bytes(raw, "big")
    if size < LEAST[said] or size >> 63:
        raise BrokenFrameError("a size in a form that is not the shortest")
    return size


def unmasked(data: bytes, mask: bytes) -> bytes:
    """Return the payload of a frame (5.3)."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def frame(kind: int, payload: bytes) -> bytes:
    """Return one whole frame of a server."""
    size = len(payload)
    if size <= MOST_SHORT:
        return bytes((FINAL | kind, size)) + payload
    if size < LEAST[127]:
        return struct.pack("!BBH", FINAL | kind, 126, size) + payload
    return struct.pack("!BBQ", FINAL | kind, 127, size) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; NO_STATUS is said by saying nothing."""
    if code == NO_STATUS:
        return frame(CLOSE, b"")
    text = reason.encode()[: MOST_SHORT - 2].decode("utf-8", "ignore").encode()
    return frame(CLOSE, struct.pack("!H", code) + text)


def close_code(payload: bytes) -> int:
    """Return what a client's close frame says; a wrong one gets the code to answer with (5.5.1)."""
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code not in SENT_CODES:
        return PROTOCOL_ERROR
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        return BAD_DATA
    return code
