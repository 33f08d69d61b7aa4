"""A broker with a few known logins on a free port, and a raw client that can say what no library would."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from gateway.broker.limits import Limits
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker, OnRefused
from gateway.mqtt.journal import Journal
from gateway.mqtt.ports import Credentials, Grant, Principal, PrincipalKind, Rejected

DEVICE = "11111111-aaaa-4bbb-8ccc-000000000001"
OTHER = "22222222-aaaa-4bbb-8ccc-000000000002"
CHILD = "33333333-aaaa-4bbb-8ccc-000000000003"
ALL = (Grant("#", read=True, write=True), Grant("$SYS/#", read=True))

PRINCIPALS = {
    "admin": Principal(PrincipalKind.USER, "admin", ALL, frozenset({"admin"})),
    "reader": Principal(PrincipalKind.USER, "reader", (Grant("home/#", read=True),)),
    "writer": Principal(PrincipalKind.USER, "writer", (Grant("home/#", write=True),)),
    "kitchen": Principal(
        PrincipalKind.USER,
        "kitchen",
        (Grant("home/kitchen/#", read=True), Grant("devices/+/set", read=True, write=True)),
    ),
    DEVICE: Principal(PrincipalKind.DEVICE, DEVICE),
    OTHER: Principal(PrincipalKind.DEVICE, OTHER, (Grant("lab/#", read=True, write=True),)),
    CHILD: Principal(PrincipalKind.CHILD, CHILD),
}


def authenticate(credentials: Credentials, done: Callable[[Principal | Rejected], None]) -> None:
    """Let everybody in whose password is `secret`."""
    found = PRINCIPALS.get((credentials.username or "").lower())
    good = found is not None and credentials.password == b"secret"
    done(found if good and found is not None else Rejected(4, "bad user name or password"))


OPEN: "list[RawClient]" = []
"""Raw clients to close when their broker stops."""


@contextlib.asynccontextmanager
async def running(
    limits: Limits | None = None,
    on_refused: OnRefused | None = None,
    journal: Journal | None = None,
) -> AsyncIterator[tuple[Broker, int]]:
    """Run a broker; yields it and its port."""
    broker = Broker(
        authenticate, limits=limits, on_refused=on_refused, version="test", journal=journal
    )
    async with contextlib.AsyncExitStack() as stack:
        listener = Listener(broker, ListenerSpec("test", ("127.0.0.1",), 0))
        await listener.open(stack)
        sweeping = asyncio.ensure_future(broker.run())  # noqa: TID251 - a test's own background
        try:
            yield broker, listener.addresses[0][1]
        finally:
            sweeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sweeping
            while OPEN:
                await OPEN.pop().gone()


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def packet(first: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (128 if size else 0))
        if not size:
            return bytes((first,)) + bytes(length) + body


def connect(
    user: str | None,
    client_id: str = "c",
    *,
    password: str = "secret",
    clean: bool = True,
    keep_alive: int = 60,
    will: tuple[str, bytes, int] | None = None,
    name: str = "MQTT",
    level: int = 4,
) -> bytes:
    """Return a CONNECT; `will` is (topic, payload, flags of QoS and retain as in the standard)."""
    flags = 2 * clean
    parts = [text(client_id)]
    if will is not None:
        flags |= 4 | will[2]
        parts += [text(will[0]), text(will[1])]
    if user is not None:
        flags |= 0xC0
        parts += [text(user), text(password)]
    head = text(name) + bytes((level, flags)) + keep_alive.to_bytes(2, "big")
    return packet(0x10, head, *parts)


def publish(
    topic: str | bytes, payload: bytes = b"", qos: int = 0, number: int = 1, flags: int = 0
) -> bytes:
    ident = number.to_bytes(2, "big") if qos else b""
    return packet(0x30 | qos << 1 | flags, text(topic), ident, payload)


def subscribe(*filters: str | bytes, qos: int = 0, number: int = 1) -> bytes:
    wanted = [part for one in filters for part in (text(one), bytes((qos,)))]
    return packet(0x82, number.to_bytes(2, "big"), *wanted)


class RawClient:
    """Whole packets over a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        OPEN.append(self)

    @classmethod
    async def open(cls, port: int) -> "RawClient":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def login(
        cls, port: int, user: str, client_id: str = "", **options: object
    ) -> "RawClient":
        client = await cls.open(port)
        client.send(connect(user, client_id or f"{user[:8]}-client", **options))  # type: ignore[arg-type]
        assert (await client.read())[0] == 0x20
        return client

    def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(packets))

    async def read(self, seconds: float = 5.0) -> tuple[int, bytes]:
        """Return (first byte, body) of the next packet; (0, b"") at the end of the stream."""
        try:
            async with asyncio.timeout(seconds):
                return await self._read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""

    async def _read(self) -> tuple[int, bytes]:
        first = (await self.reader.readexactly(1))[0]
        size = shift = 0
        while True:
            digit = (await self.reader.readexactly(1))[0]
            size |= (digit & 127) << shift
            shift += 7
            if not digit & 128:
                return first, await self.reader.readexactly(size)

    async def message(self) -> tuple[str, bytes, int]:
        """Return (topic, payload, first byte) of the next packet, which must be a PUBLISH; acknowledges it."""
        first, body = await self.read()
        assert first >> 4 == 3, f"not a PUBLISH: {first:#x} {body!r}"
        cut = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:cut].decode()
        if first & 6:
            self.send(packet(0x40, body[cut : cut + 2]))
            cut += 2
        return topic, body[cut:], first

    async def subscribed(self, *filters: str, qos: int = 0) -> bytes:
        """Subscribe and return the SUBACK's codes."""
        self.send(subscribe(*filters, qos=qos))
        first, body = await self.read()
        assert first == 0x90
        return body[2:]

    async def is_quiet(self) -> bool:
        """Return whether nothing but a PINGRESP comes back for a PINGREQ."""
        self.send(b"\xc0\x00")
        return (await self.read())[0] == 0xD0

    async def is_closed(self) -> bool:
        while True:
            first, _ = await self.read()
            if first == 0:
                return True
            if first == 0xD0:
                return False

    def close(self) -> None:
        self.writer.close()

    async def gone(self) -> None:
        """Close for good, whatever is still unsent."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
