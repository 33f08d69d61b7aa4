"""Steps that several rows share."""

from collections.abc import Iterable
from typing import Any

from tests.fakes import raw_packets as raw
from tests.fakes.raw_mqtt import RawMqtt
from tests.fakes.raw_packets import CONNACK, DISCONNECT, NAMES, PUBLISH, SUBACK, Filter, Prop
from tests.fakes.raw_reading import Packet
from tests.fakes.raw_scene import Scene


async def closes(client: RawMqtt, *codes: int) -> None:
    """Expect the broker to say one of these reasons and close; answers to earlier packets may come before."""
    last: Packet | None = None
    while (found := await client.read()) is not None:
        last = found
    kind = DISCONNECT if client.connack is not None else CONNACK
    assert last is not None, f"closed without {NAMES[kind]}"
    assert last.kind == kind, f"{NAMES[kind]} expected at the end, {last} came"
    wanted = [hex(code) for code in codes]
    assert last.code in codes, f"one of {wanted} expected in {last}"


async def kept(
    scene: Scene, client_id: str = "kept", *, expiry_s: int = 3600, **options: Any
) -> RawMqtt:
    """Connect with a session that outlives its connection; resumes it when it is there."""
    props = {Prop.SESSION_EXPIRY: expiry_s, **options.pop("props", {})}
    return await scene.client(client_id, clean=False, props=props, **options)


async def listener(
    scene: Scene, *filters: Filter, qos: int = 0, client_id: str = "listener", **options: Any
) -> RawMqtt:
    """Connect and subscribe."""
    client = await scene.client(client_id, **options)
    codes = await client.subscribe(*filters, qos=qos)
    assert max(codes) < 0x80, f"refused: {codes}"
    return client


def size_of(packet: Packet) -> int:
    """Return the bytes of a whole packet."""
    size = len(packet.body)
    return 1 + sum(size >= least for least in (0, 128, 16_384, 2_097_152)) + size


def payloads(packets: Iterable[Packet]) -> list[bytes]:
    """Return the payloads of the PUBLISHes among these packets."""
    return [packet.payload for packet in packets if packet.kind == PUBLISH]


def told(client: RawMqtt) -> dict[int, Any]:
    """Return the properties of the CONNACK."""
    assert client.connack is not None
    return client.connack.properties


def is_resumed(client: RawMqtt) -> bool:
    """Return whether CONNACK told of a session that was there."""
    assert client.connack is not None
    return client.connack.is_present


async def is_not_granted(scene: Scene, pattern: str) -> None:
    """A filter that is none is refused, by SUBACK or by closing; it matches nothing."""
    client = await scene.client("asks")
    client.send(raw.subscribe(1, pattern, version=5))
    found = await client.read()
    assert found is not None, f"{pattern} closed the connection without a word"
    if found.kind == DISCONNECT:
        assert found.code in {0x81, 0x82, 0x8F}
        assert await client.read() is None
    else:
        assert found.kind == SUBACK
        assert found.code >= 0x80, f"{pattern} was granted"
        await client.disconnect()
