"""A client at packet level over a socket of its own, for MQTT 3.1 (version 3), 3.1.1 (4) and 5.0 (5).

It sends what it is told, right or wrong, and reads strictly (`raw_reading`).  It acknowledges nothing unasked, so
that suites decide when and whether.  It shares no code with the broker.
"""

import asyncio
import contextlib
import socket
from collections import deque
from typing import Any

from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import (
    CONNACK,
    DISCONNECT,
    NAMES,
    PING,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Filter,
)
from tests.fakes.raw_reading import Packet, read

DEADLINE_S = 5.0  # for every packet that must come
SLOW_BYTES = 4096  # what a slow reader's buffers hold


class RawMqtt:
    """One socket to a broker."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.version = version
        self.connack: Packet | None = None
        self._read: deque[Packet] = deque()  # taken from the socket, not yet expected
        self._next_id = 0

    @classmethod
    async def open(cls, port: int, version: int = 4, *, slow: bool = False) -> "RawMqtt":
        """Open a socket and say nothing; `slow` leaves only small buffers between the broker and us."""
        if not slow:
            return cls(*await asyncio.open_connection("127.0.0.1", port), version)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BYTES)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=sock, limit=SLOW_BYTES), version)

    # ---- saying ----

    def send(self, *packets: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(b"".join(packets))

    async def send_slowly(self, data: bytes, cuts: tuple[int, ...]) -> None:
        """Send bytes in pieces that arrive one by one."""
        for begin, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
            self.writer.write(data[begin:end])
            await self.writer.drain()
            await asyncio.sleep(0.002)

    async def connect(self, client_id: str = "c", *, code: int = 0, **options: Any) -> Packet:
        """Send a CONNECT (`raw_packets.connect`) and expect its CONNACK with this code."""
        self.send(raw.connect(client_id, version=self.version, **options))
        self.connack = await self.expect(CONNACK, code=code)
        return self.connack

    def number(self) -> int:
        """Return a packet id that was not used before."""
        self._next_id += 1
        return self._next_id

    async def subscribe(self, *filters: Filter, qos: int = 0, props: Any = ()) -> tuple[int, ...]:
        """Subscribe; return the SUBACK's codes."""
        number = self.number()
        self.send(raw.subscribe(number, *filters, qos=qos, version=self.version, props=props))
        return (await self.take(SUBACK, number)).codes

    async def unsubscribe(self, *filters: str | bytes) -> tuple[int, ...]:
        """Unsubscribe; return the UNSUBACK's codes (none in 3.1.1)."""
        number = self.number()
        self.send(raw.unsubscribe(number, *filters, version=self.version))
        return (await self.take(UNSUBACK, number)).codes

    async def publish(
        self, topic: str, payload: bytes = b"", qos: int = 0, **options: Any
    ) -> Packet | None:
        """Publish and go through its acknowledgements; return the first one, None at QoS 0."""
        number = options.pop("number", None) or (self.number() if qos else 1)
        self.send(raw.publish(topic, payload, qos, number, version=self.version, **options))
        if qos == 0:
            return None
        answer = await self.take(PUBACK if qos == 1 else PUBREC, number)
        if qos == 2 and answer.code < 0x80:
            self.send(raw.ack(PUBREL, number))
            await self.take(PUBCOMP, number)
        return answer

    # ---- hearing ----

    async def read(self, seconds: float = DEADLINE_S) -> Packet | None:
        """Return the next packet, whatever it is; None at the end of the stream."""
        if self._read:
            return self._read.popleft()
        try:
            async with asyncio.timeout(seconds):
                return await self._receive()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except TimeoutError:
            raise AssertionError(f"nothing came within {seconds} s") from None

    async def _receive(self) -> Packet:
        first = (await self.reader.readexactly(1))[0]
        size = shift = 0
        while True:
            digit = (await self.reader.readexactly(1))[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
            assert shift < 28, "a remaining length of more than four bytes"
        assert digit or shift == 7, "a remaining length not in its shortest form"
        return read(first, await self.reader.readexactly(size), self.version)

    async def expect(self, kind: int, **fields: Any) -> Packet:
        """Return the next packet, which must be of this kind and have these fields.

        `properties` names those that must be there, whatever else is.
        """
        found = await self.read()
        assert found is not None, f"closed instead of {NAMES[kind]}"
        assert found.kind == kind, f"{NAMES[kind]} expected, {found} came"
        wanted = fields.pop("properties", {})
        for name, value in fields.items():
            assert getattr(found, name) == value, f"{name} should be {value!r} in {found}"
        for name, value in wanted.items():
            assert found.properties.get(name) == value, f"property {name:#x} is not {value!r}"
        return found

    async def take(self, kind: int, number: int = 0) -> Packet:
        """Return the first packet of this kind (and id); what came before it stays to be read."""
        passed: list[Packet] = []
        while True:
            found = await self.read()
            assert found is not None, f"closed instead of {NAMES[kind]}; before that {passed}"
            if found.kind == kind and number in (0, found.number):
                self._read.extendleft(reversed(passed))
                return found
            passed.append(found)

    async def message(self, **fields: Any) -> Packet:
        """Expect a PUBLISH and acknowledge it as its QoS asks, to the end."""
        found = await self.expect(PUBLISH, **fields)
        await self.acknowledge(found)
        return found

    async def acknowledge(self, found: Packet) -> None:
        """Go through the acknowledgements of a PUBLISH."""
        if found.qos == 1:
            self.send(raw.ack(PUBACK, found.number))
        elif found.qos == 2:
            self.send(raw.ack(PUBREC, found.number))
            await self.take(PUBREL, found.number)
            self.send(raw.ack(PUBCOMP, found.number))

    async def messages(self, count: int) -> list[bytes]:
        """Return the payloads of the next messages, acknowledged."""
        return [(await self.message()).payload for _ in range(count)]

    async def nothing(self) -> None:
        """Expect that nothing was sent to us: the answer to a PINGREQ comes first.

        What others published is only covered once their own packets were answered: `await them.settled()`.
        """
        self.send(PING)
        found = await self.read()
        assert found is not None, "closed instead of silent"
        assert found.kind == PINGRESP, f"nothing expected, {found} came"

    async def settled(self) -> None:
        """Return once the broker has handled all that we sent; what came meanwhile stays to be read."""
        self.send(PING)
        await self.take(PINGRESP)

    async def gathered(self) -> list[Packet]:
        """Return everything that was sent to us until now."""
        await self.settled()
        found = list(self._read)
        self._read.clear()
        return found

    async def expect_closed(self, code: int | None = None) -> None:
        """Expect the end of the connection; nothing may come before it.

        In MQTT 5 `code` is the reason that must be told first: by DISCONNECT, or by CONNACK before we are connected.
        """
        found = await self.read()
        if self.version == 5 and code is not None:
            kind = DISCONNECT if self.connack is not None else CONNACK
            assert found is not None, f"closed without {NAMES[kind]} {code:#x}"
            assert found.kind == kind, f"{NAMES[kind]} expected, {found} came"
            assert found.code == code, f"code {code:#x} expected in {found}"
            found = await self.read()
        assert found is None, f"the end expected, {found} came"

    # ---- going ----

    async def disconnect(self, code: int | None = None, **options: Any) -> None:
        """Send DISCONNECT and wait until the broker has closed."""
        self.send(raw.disconnect(code, **options))
        while await self.read() is not None:
            pass
        await self.gone()

    async def cut(self) -> None:
        """Vanish without a word, as a pulled cable does once the network has noticed."""
        await self.gone()

    async def gone(self) -> None:
        """Close for good, whatever is unsent or unread."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
