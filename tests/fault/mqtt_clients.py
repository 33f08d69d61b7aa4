"""Publishers and subscribers that outlive a broker: they keep their MQTT state, resend, and remember every promise.

They speak MQTT with bytes of their own, so that a mistake of the broker's codec does not cancel itself out.
"""

import asyncio
import contextlib
from collections import Counter

WINDOW = 6
SESSION_EXPIRY = b"\x11\x00\x00\x0e\x10"  # an hour


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (128 if size else 0))
        if not size:
            return bytes((first,)) + bytes(length) + body


def text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


async def read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        size |= (digit & 127) << shift
        shift += 7
        if not digit & 128:
            return first, await reader.readexactly(size)


class Client:
    """One identity with a persistent session; `live` is one connection of it."""

    def __init__(self, name: str, version: int = 4) -> None:
        self.name = name
        self.version = version
        self.has_promise = False  # something was acknowledged: the session must be there for good
        self.connections = 0
        self.is_staying = False
        self.writer: asyncio.StreamWriter | None = None

    @property
    def none(self) -> bytes:
        """No properties, in the dialects that have them."""
        return b"\x00" if self.version == 5 else b""

    async def stay(self, port: int) -> None:
        """Connect again whenever the connection is lost, until `is_staying` is taken away."""
        self.is_staying = True
        while self.is_staying:
            await self.live(port)
            await asyncio.sleep(0.001)

    async def live(self, port: int) -> None:
        """Connect and go on until the connection ends, however it does."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(self.hello())
                first, body = await read(reader)
                assert (first, body[1]) == (0x20, 0), f"{self.name} was refused: {body!r}"
                assert body[0] or not self.has_promise, f"{self.name}'s session is gone"
                self.connections += 1
                self.writer = writer
                self.connected(is_present=bool(body[0]))
                while True:
                    self.received(*await read(reader))
            finally:
                self.writer = None
                writer.transport.abort()

    def hello(self, *, is_clean: bool = False) -> bytes:
        """Return a CONNECT without a user name, keep alive of a minute."""
        properties = bytes((len(SESSION_EXPIRY),)) + SESSION_EXPIRY if self.version == 5 else b""
        flags = bytes((2 if is_clean else 0, 0, 60))
        return packet(
            0x10, text("MQTT"), bytes((self.version,)), flags, properties, text(self.name)
        )

    def send(self, first: int, *parts: bytes) -> None:
        if self.writer is not None:
            self.writer.write(packet(first, *parts))

    def connected(self, *, is_present: bool) -> None:
        """Take up what is unfinished."""

    def received(self, first: int, body: bytes) -> None:
        """Handle a packet."""


class Publisher(Client):
    """Publishes numbers from 1; `acknowledged` is the last one up to which the broker took all."""

    def __init__(
        self, name: str, qos: int, version: int = 4, *, topic: str = "", retain: bool = False
    ) -> None:
        super().__init__(name, version)
        self.qos = qos
        self.first = 0x30 | qos << 1 | retain
        self.topic = topic or f"jobs/{name}"
        self.ids = (
            1,
            50,
        )  # first packet id, how many there are: few, so that each is used again soon
        self.padding = b""
        self.last = 0
        self.acknowledged = 0
        self.is_stopped = False
        self.unfinished: dict[int, int] = {}  # packet id -> number, without PUBACK or PUBREC
        self.taken: dict[int, int] = {}  # the same, with PUBREC and without PUBCOMP

    @property
    def is_idle(self) -> bool:
        return self.is_stopped and not self.unfinished and not self.taken

    def connected(self, *, is_present: bool) -> None:
        for packet_id, number in self.unfinished.items():
            self._publish(packet_id, number, 8 if is_present else 0)
        for packet_id in self.taken:
            self.send(0x62, packet_id.to_bytes(2, "big"))
        self.pump()

    def pump(self) -> None:
        while not self.is_stopped and len(self.unfinished) + len(self.taken) < WINDOW:
            self.last += 1
            packet_id = self.ids[0] + self.last % self.ids[1]
            if packet_id in self.unfinished or packet_id in self.taken:
                self.last -= 1
                return
            self.unfinished[packet_id] = self.last
            self._publish(packet_id, self.last, 0)

    def _publish(self, packet_id: int, number: int, dup: int) -> None:
        payload = b"%s %d" % (self.name.encode(), number) + self.padding
        self.send(
            self.first | dup, text(self.topic), packet_id.to_bytes(2, "big"), self.none, payload
        )

    def received(self, first: int, body: bytes) -> None:
        packet_id = int.from_bytes(body[:2], "big")
        assert len(body) <= 3 or body[2] < 0x80, f"{self.name}: refused with {body[2]:#x}"
        self.has_promise = self.has_promise or first != 0x40
        if first == 0x40 or first == 0x50:
            number = self.unfinished.pop(packet_id, None)
            if number is not None:
                assert number == self.acknowledged + 1, "acknowledged out of order"
                self.acknowledged = number
                if first == 0x50:
                    self.taken[packet_id] = number
        if first == 0x50:
            self.send(0x62, packet_id.to_bytes(2, "big"))
        if first == 0x70:
            self.taken.pop(packet_id, None)
        self.pump()


class Subscriber(Client):
    """Subscribes once and counts every message."""

    def __init__(
        self, name: str, qos: int = 2, version: int = 4, *, pattern: str = "jobs/#"
    ) -> None:
        super().__init__(name, version)
        self.qos = qos
        self.pattern = pattern
        self.got: Counter[bytes] = Counter()
        self.order: dict[bytes, list[int]] = {}  # publisher -> numbers, each where it came first
        self.held: dict[int, bytes] = {}  # QoS 2, not released
        self.packets = 0
        self.pongs = 0

    def ping(self) -> None:
        """Ask for a PINGRESP: once it is there, the broker has seen every acknowledgement before it."""
        self.send(0xC0)

    def connected(self, *, is_present: bool) -> None:
        if not is_present:
            self.held.clear()
        if not self.has_promise:
            self.send(0x82, b"\x00\x01", self.none, text(self.pattern), bytes((self.qos,)))

    def received(self, first: int, body: bytes) -> None:
        if first >> 4 == 3:
            self.packets += 1
            self._message(first >> 1 & 3, body)
        elif first == 0x62:
            self.held.pop(int.from_bytes(body[:2], "big"), None)
            self.send(0x70, body[:2])
        elif first == 0xD0:
            self.pongs += 1
        elif first == 0x90:
            assert body[-1] == self.qos
            self.has_promise = True

    def _message(self, qos: int, body: bytes) -> None:
        at = 2 + int.from_bytes(body[:2], "big")
        number, payload = body[at : at + 2], body[at + 2 + len(self.none) :]
        if qos == 1:
            self._count(payload)
            self.send(0x40, number)
            return
        packet_id = int.from_bytes(number, "big")
        if packet_id not in self.held:
            self._count(payload)
            self.held[packet_id] = payload
        assert self.held[packet_id] == payload, "a packet id names two messages"
        self.send(0x50, number)

    def _count(self, payload: bytes) -> None:
        self.got[payload] += 1
        if self.got[payload] == 1:
            name, number = payload.split()[:2]
            self.order.setdefault(name, []).append(int(number))
