"""Packets that are wrong in ways seen in the field: each closes its connection, in MQTT 5 with the right reason.

The table of our comparison of brokers: what others keep open, and go deaf on, ends here.  Where the standard names
no reason, both that fit are allowed.
"""

import pytest

from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import CONNACK, DISCONNECT, PUBLISH, PUBREC
from tests.fakes.raw_scene import Scene

MALFORMED, WRONG, BAD_TOPIC = 0x81, 0x82, 0x90


def _publish(version: int, topic: bytes, qos: int = 0, number: int = 1) -> bytes:
    return raw.publish(topic, b"x", qos, number, version=version)


def _section(version: int) -> bytes:
    return b"\0" if version == 5 else b""


AFTER_CONNECT = {
    "a remaining length of five bytes": (
        lambda version: b"\x30\xff\xff\xff\xff\x01" + b"x" * 20,
        {MALFORMED},
    ),
    "packet type 0": (lambda version: b"\x00\x00", {MALFORMED}),
    "packet type 15": (  # AUTH in MQTT 5, where nobody asked for it [MQTT-4.12.0-6]
        lambda version: b"\xf0\x00",
        {WRONG},
    ),
    "SUBSCRIBE with flags 0": (
        lambda version: b"\x80" + raw.subscribe(1, "a", version=version)[1:],
        {MALFORMED},
    ),
    "QoS 3": (
        lambda version: raw.packet(0x36, raw.text("a"), b"\0\1", _section(version), b"x"),
        {MALFORMED},
    ),
    "an empty topic": (lambda version: _publish(version, b""), {WRONG}),
    "a wildcard in a topic": (lambda version: _publish(version, b"a/#"), {MALFORMED, BAD_TOPIC}),
    "a topic that is not UTF-8": (lambda version: _publish(version, b"a\xff"), {MALFORMED}),
    "U+0000 in a topic": (lambda version: _publish(version, b"a\0b"), {MALFORMED}),
    "a topic longer than its packet": (
        lambda version: raw.packet(0x30, b"\x00\x50abc"),
        {MALFORMED},
    ),
    "SUBSCRIBE without a filter": (
        lambda version: raw.subscribe(1, version=version),
        {WRONG},
    ),
    "a second CONNECT": (lambda version: raw.connect("c", version=version), {WRONG}),
    "packet id 0": (lambda version: _publish(version, b"a", 1, 0), {MALFORMED, WRONG}),
    "SUBSCRIBE with QoS 3": (
        lambda version: raw.subscribe(1, "a", qos=3, version=version),
        {WRONG},
    ),
}
"""What is wrong -> (the bytes, the reasons that MQTT 5 may be told)."""


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("wrong", AFTER_CONNECT)
async def test_a_wrong_packet_closes_the_connection(scene: Scene, wrong: str, version: int):
    make, reasons = AFTER_CONNECT[wrong]
    client = await scene.client(version=version)
    client.send(make(version), raw.PING)
    if version == 5:
        found = await client.expect(DISCONNECT)
        assert found.code in reasons, f"{found} for {wrong}"
    await client.expect_closed()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("wrong", AFTER_CONNECT)
async def test_a_wrong_packet_leaves_others_undisturbed(scene: Scene, wrong: str, version: int):
    good = await scene.client("good", version=version)
    await good.subscribe("a", qos=1)
    bad = await scene.client("bad", version=version)
    bad.send(AFTER_CONNECT[wrong][0](version))
    while await bad.read() is not None:
        pass
    await good.publish("a", b"still here", 1)
    await good.message(payload=b"still here")


@pytest.mark.parametrize("version", [3, 4, 5])
async def test_a_publish_before_connect_closes_the_connection(scene: Scene, version: int):
    client = await scene.socket(version)
    client.send(raw.publish("a", b"x", version=version))
    await client.expect_closed()


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_publish_to_a_reserved_topic_reaches_nobody(scene: Scene, version: int, qos: int):
    """The rules of topics bind here: refused, acknowledged as its QoS asks, and the connection stays."""
    admin = await scene.client("admin", version=version)
    await admin.subscribe("$SYS/#")
    await admin.gathered()
    client = await scene.client(version=version)
    for topic in ("$SYS/broker/uptime", "$SYS", "$other/x"):
        answer = await client.publish(topic, b"forged", qos, retain=True)
        assert answer is None or answer.code == (0x87 if version == 5 else 0)
    await client.nothing()
    told = [packet for packet in await admin.gathered() if packet.kind == PUBLISH]
    assert b"forged" not in [packet.payload for packet in told]
    assert await admin.subscribe("$SYS/broker/uptime")
    await admin.message(topic="$SYS/broker/uptime", retain=True)


BEFORE_CONNECT = {
    "a string cut short": (lambda version: b"\0\x50c", {MALFORMED}),
    "nothing": (lambda version: b"", {MALFORMED}),
    "a client id that is not UTF-8": (lambda version: b"\0\1\xff", {MALFORMED}),
    "a client id with U+0000": (lambda version: b"\0\1\0", {MALFORMED}),
    "bytes left over": (lambda version: b"\0\1cxyz", {MALFORMED}),
}
"""What is wrong with a CONNECT's payload -> (the bytes, the reasons)."""


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("wrong", BEFORE_CONNECT)
async def test_a_wrong_connect_closes_the_connection(scene: Scene, wrong: str, version: int):
    make, reasons = BEFORE_CONNECT[wrong]
    name = "MQIsdp" if version == 3 else "MQTT"
    head = raw.text(name) + bytes((version, 2)) + b"\0\0" + _section(version)
    client = await scene.socket(version)
    client.send(raw.packet(0x10, head, make(version)))
    found = await client.read()
    if found is not None:  # a CONNACK may come first, and only in MQTT 5 [MQTT-3.1.4-1]
        assert version == 5
        assert found.kind == CONNACK
        assert found.code in reasons
        await client.expect_closed()


@pytest.mark.parametrize("version", [4, 5])
async def test_qos_2_that_is_never_released_is_bounded(scene: Scene, version: int):
    """A client may hold so many packet ids and no more; MQTT 5 is told its receive maximum was exceeded."""
    client = await scene.client(version=version)
    most = 0xFFFF
    if version == 5 and client.connack is not None:
        most = client.connack.properties.get(raw.Prop.RECEIVE_MAXIMUM, most)
    allowed = min(most, 2000)
    answered = 0
    for number in range(1, allowed + 2):
        client.send(raw.publish("a", b"", 2, number, version=version))
    while (found := await client.read()) is not None:
        answered += found.kind == PUBREC
        if found.kind == DISCONNECT:
            assert found.code == 0x93
    assert 0 < answered <= allowed
