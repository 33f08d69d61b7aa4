"""Bytes for a broker that does not expect them: noise, and packets that were right before we touched them."""

import random

from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import Prop, RawWill

TOPICS = ("a", "a/b", "a/+", "#", "", "$SYS/#", "$share/g/a", "devices/x/set", "message", "a" * 300)
CUTS = 4


def noise(rng: random.Random) -> bytes:
    """Return bytes that mean nothing."""
    return rng.randbytes(rng.choice((1, 2, 5, 20, 200, 3000)))


def _properties(rng: random.Random) -> list[tuple[int, object]]:
    """Return some properties, fitting or not."""
    values: dict[str, object] = {
        "byte": rng.choice((0, 1, 2, 255)),
        "two": rng.choice((0, 1, 16, 17, 65535)),
        "four": rng.choice((0, 1, 60, 0xFFFFFFFF)),
        "text": rng.choice(("", "x", "é", "a/#", "\0")),
        "binary": rng.randbytes(rng.choice((0, 1, 30))),
        "varint": rng.choice((0, 1, 127, 128, 268_435_455)),
        "pair": ("k", rng.choice(("", "v"))),
    }
    names = rng.choices(list(raw.KINDS), k=rng.choice((0, 0, 0, 1, 2, 5)))
    return [(name, values[raw.KINDS[name]]) for name in names]


def connect(rng: random.Random, version: int, client_id: str = "fuzz") -> bytes:
    """Return a CONNECT that is right."""
    will = (
        RawWill("a", b"gone", rng.randrange(3), rng.random() < 0.3) if rng.random() < 0.3 else None
    )
    props = {Prop.SESSION_EXPIRY: rng.choice((0, 10, 0xFFFFFFFF))} if version == 5 else ()
    return raw.connect(
        client_id, version=version, clean=rng.random() < 0.5, will=will, props=props, keep_alive=60
    )


def packet(rng: random.Random, version: int) -> bytes:
    """Return a packet that is right, or nearly so."""
    props = _properties(rng) if version == 5 else ()
    topic, number = rng.choice(TOPICS), rng.choice((0, 1, 2, 3, 65535))
    qos, options = rng.randrange(3), rng.choice((0, 1, 2, 3, 4, 8, 0x10, 0x20, 0x30, 0x2E, 0xFF))
    make = rng.randrange(9)
    if make == 0:
        return connect(rng, version)
    if make <= 3:
        payload = rng.randbytes(rng.choice((0, 1, 100)))
        flags = {"retain": rng.random() < 0.2, "dup": rng.random() < 0.2}
        return raw.publish(topic, payload, qos, number, version=version, props=props, **flags)
    if make == 4:
        return raw.subscribe(number, (topic, options), version=version, props=props)
    if make == 5:
        return raw.unsubscribe(number, topic, version=version, props=props)
    if make == 6:
        kind = rng.choice((raw.PUBACK, raw.PUBREC, raw.PUBREL, raw.PUBCOMP))
        return raw.ack(
            kind, number, rng.choice((None, 0, 0x10, 0x80, 0x92)) if version == 5 else None
        )
    if make == 7:
        return rng.choice((raw.PING, raw.auth(0x18, props), b"\xd0\x00", b"\x20\x02\x00\x00"))
    if rng.random() < 0.7:
        return raw.PING
    return raw.disconnect(rng.choice((None, 0, 4, 0x80))) if version == 5 else raw.disconnect()


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with a few of them changed, lost, doubled or moved."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        if not out:
            break
        at = rng.randrange(len(out))
        what = rng.randrange(6)
        if what == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif what == 2:
            del out[at : at + rng.choice((1, 2, 10))]
        elif what == 3:
            out[at:at] = rng.randbytes(rng.choice((1, 2, 10)))
        elif what == 4:
            out[at:at] = out[max(0, at - 10) : at]
        else:
            del out[at:]
    return bytes(out)


def cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Return bytes in pieces."""
    if rng.random() < 0.3:
        return [data] if data else []
    if rng.random() < 0.1:
        return [bytes((byte,)) for byte in data[:600]] + ([data[600:]] if data[600:] else [])
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(CUTS)))
    pieces = [data[a:b] for a, b in zip((0, *cuts), (*cuts, len(data)), strict=True)]
    return [piece for piece in pieces if piece]


def stream(rng: random.Random, version: int) -> bytes:
    """Return what a client says that was connected: several packets, some of them spoilt."""
    out = b""
    for _ in range(rng.choice((1, 2, 5, 20))):
        one = packet(rng, version)
        fate = rng.random()
        if fate < 0.4:
            one = mutated(rng, one)
        elif fate < 0.45:
            one = noise(rng)
        out += one
    return out
