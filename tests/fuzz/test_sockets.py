"""The same over real sockets and behind every transport: resets, halves of connections, frames that are none."""

import asyncio
import contextlib
import ipaddress
import random
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.broker.limits import Limits
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.websocket import WebSocketRules
from tests.fakes.raw_scene import Scene
from tests.fakes.raw_scene import scene as running_scene
from tests.fakes.waiting import eventually
from tests.fuzz import mutations
from tests.fuzz.seeds import seeded

pytestmark = pytest.mark.slow

AT_ONCE = 5  # wrong clients at a time
REQUEST = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
)
PROXY_1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 1883\r\n"
PROXY_2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + bytes((192, 0, 2, 1, 192, 0, 2, 2))
    + b"\x9c\x40\x07\x5b"
)


@dataclass
class Doors:
    """The ports of one broker, by what stands before MQTT on each."""

    scene: Scene
    ports: dict[str, int]
    errors: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    """A broker behind plain TCP, WebSocket and the PROXY protocol."""
    limits = Limits(packet_bytes=16 << 10, queued=50, queued_bytes=64 << 10)
    async with running_scene(limits) as scene, contextlib.AsyncExitStack() as stack:
        made = Doors(scene, {"plain": scene.port})
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: made.errors.append(context))
        local = (ipaddress.ip_network("127.0.0.0/8"),)
        for name, options in {
            "websocket": {"websocket": WebSocketRules()},
            "proxy": {"proxies": local},
        }.items():
            listener = Listener(scene.broker, ListenerSpec(name, ("127.0.0.1",), 0, **options))
            await listener.open(stack)
            made.ports[name] = listener.addresses[0][1]
        yield made
    assert not made.errors, made.errors


def framed(rng: random.Random, data: bytes) -> bytes:
    """Return bytes in masked binary frames, or nearly so."""
    out = b""
    for piece in mutations.cut(rng, data):
        first = rng.choice((0x82, 0x82, 0x82, 0x02, 0x80, 0x81, 0x88, 0x89, 0xF2))
        size = len(piece)
        length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + struct.pack("!H", size & 0xFFFF)
        out += bytes((first,)) + length + b"\0\0\0\0" + piece
    return out


def told(rng: random.Random, door: str) -> bytes:
    """Return what a wrong client says at a door."""
    version = rng.choice((3, 4, 5))
    packets = mutations.connect(rng, version, f"fuzz-{rng.randrange(4)}")
    packets += mutations.stream(rng, version)
    if door == "websocket":
        start = REQUEST if rng.random() < 0.8 else mutations.mutated(rng, REQUEST)
        frames = framed(rng, packets)
        return start + (mutations.mutated(rng, frames) if rng.random() < 0.5 else frames)
    if door == "proxy":
        start = rng.choice((PROXY_1, PROXY_2))
        return (start if rng.random() < 0.6 else mutations.mutated(rng, start)) + packets
    return packets if rng.random() < 0.8 else mutations.noise(rng)


async def say(port: int, rng: random.Random, data: bytes) -> None:
    """Say it in pieces, and leave: reading or not, with a reset or without."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError):
        for piece in mutations.cut(rng, data):
            writer.write(piece)
            await writer.drain()
            if rng.random() < 0.3:
                await asyncio.sleep(0)
        if rng.random() < 0.3:
            writer.write_eof()
        if rng.random() < 0.5:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    while await reader.read(4096):
                        pass
    if rng.random() < 0.5:
        writer.transport.abort()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("door", ["plain", "websocket", "proxy"])
async def test_nothing_that_comes_over_a_socket_does_harm(doors: Doors, door: str):
    one = await doors.scene.client("one")
    two = await doors.scene.client("two", version=5)
    await two.subscribe("quiet", qos=1)
    for rng in seeded(door):
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(say(doors.ports[door], rng, told(rng, door)))
            await one.publish("quiet", b"still here", 1)
            await two.message(topic="quiet", payload=b"still here")
        assert not doors.errors, doors.errors
    for client in (one, two):
        await client.nothing()
    await eventually(
        lambda: doors.scene.pass_s(20) or len(doors.scene.broker.connections) == 2,
        what="only the two are left",
    )
