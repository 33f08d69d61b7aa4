"""Another broker as a bridge sees it: says in its CONNACK what a test wants, counts what it is sent, answers when told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.mqtt import client_packets
from gateway.mqtt.client_packets import PublishPacket
from gateway.mqtt.connect_packet import Connect, connack, parse_connect
from gateway.mqtt.packets import ack, parse_ack, split
from gateway.mqtt.properties import Properties
from gateway.mqtt.subscribe_packet import parse_subscribe, suback
from tests.fakes.waiting import eventually

BRIDGE_BIT = 0x80


@dataclass
class FakePeer:
    """What it announces, and what it saw."""

    properties: Properties = field(default_factory=dict)
    speaks: frozenset[int] = frozenset(
        {4, 5, 4 | BRIDGE_BIT}
    )  # protocol levels; others get CONNACK 1
    code: int = 0  # of its CONNACK
    refuses: frozenset[str] = frozenset()  # filters
    answers: bool = True  # acknowledges at once
    levels: list[int] = field(default_factory=list)
    connects: list[Connect] = field(default_factory=list)
    published: list[PublishPacket] = field(default_factory=list)
    acked: list[int] = field(default_factory=list)
    filters: list[tuple[str, int]] = field(default_factory=list)
    unanswered: list[int] = field(default_factory=list)
    most_unanswered: int = 0
    pings: int = 0
    port: int = 0
    _writer: asyncio.StreamWriter | None = None
    _version: int = 4

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self._writer = writer
        self.unanswered.clear()
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(1 << 16):
                data += more
                frames, used, _ = split(data, 1 << 28)
                for first, _, body, end in frames:
                    self._handle(data, first, body, end)
                data = data[used:]
                await writer.drain()
        writer.close()

    def _handle(self, data: bytes, first: int, body: int, end: int) -> None:
        kind = first >> 4
        if kind == 1:
            self._connect(bytearray(data[body:end]))
        elif kind == 3:
            packet = client_packets.parse_publish(data, first, body, end, self._version)
            self.published.append(packet)
            if packet.qos:
                self.unanswered.append(packet.number)
                self.most_unanswered = max(self.most_unanswered, len(self.unanswered))
                if self.answers:
                    self.answer()
        elif kind == 4:
            self.acked.append(parse_ack(data, body, end, self._version)[0])
        elif kind == 8:
            number, wanted, _ = parse_subscribe(data, body, end, self._version)
            self.filters += wanted
            codes = bytes(0x80 if each in self.refuses else options & 3 for each, options in wanted)
            self.write(suback(number, codes, self._version))
        elif kind == 12:
            self.pings += 1
            self.write(b"\xd0\x00")

    def _connect(self, body: bytearray) -> None:
        level = body[6]
        self.levels.append(level)
        body[6] &= ~BRIDGE_BIT & 0xFF
        asked = parse_connect(bytes(body), 0, len(body))
        assert isinstance(asked, Connect)
        self._version = asked.version
        if level not in self.speaks:
            self.write(b"\x20\x02\x00\x01")
            self.hang_up()
            return
        self.connects.append(asked)
        said = self.properties if asked.version == 5 else None
        self.write(connack(self.code, version=asked.version, properties=said))
        if self.code:
            self.hang_up()

    def answer(self, count: int = 1, reason: int = 0) -> None:
        """Acknowledge the oldest messages."""
        for _ in range(count):
            self.write(ack(0x40, self.unanswered.pop(0), reason, self._version))

    def publish(self, packet: PublishPacket) -> None:
        """Send the bridge a message."""
        self.write(client_packets.publish(packet, self._version))

    def write(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    def hang_up(self) -> None:
        """Close the connection."""
        assert self._writer is not None
        self._writer.close()

    async def saw(self, count: int) -> None:
        """Return once so many messages have come."""
        await eventually(lambda: len(self.published) >= count, what=f"{count} messages")


@contextlib.asynccontextmanager
async def peer(**options: object) -> AsyncIterator[FakePeer]:
    """Run one."""
    fake = FakePeer(**options)  # type: ignore[arg-type]
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        if fake._writer is not None:
            fake._writer.close()
        await asyncio.sleep(0)
