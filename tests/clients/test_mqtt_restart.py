"""Clients of other makers and a node that ends by kill -9: what was acknowledged is there when they come back."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import MQTT_CONFIG
from tests.clients.mqtt_makers import MAKERS, TOOLS, fresh, opened
from tests.clients.mqtt_paho import PahoClient
from tests.clients.mqtt_wire import NAMES, V5, V311, Message, Target, Want
from tests.fakes.nodes import Node, free_port
from tests.fakes.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    *(mark for marks in TOOLS.values() for mark in marks),
    # gmqtt and amqtt leave transports to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECONDS = 20.0
COUNT = 30
KEPT = {"clean": False, "expiry_s": 600}
EVERYBODY = [(maker, version) for maker in MAKERS for version in maker.versions]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "tester.password").write_text("secret")
    node = Node(tmp_path, config=MQTT_CONFIG.format(ws=free_port(), wss=free_port()))
    node.start()
    yield node
    with contextlib.suppress(AssertionError):
        node.stop()


async def killed(node: Node) -> None:
    """Cut the node's power and start it again."""
    await asyncio.to_thread(node.kill)
    await asyncio.to_thread(node.start)


async def test_kept_sessions_of_every_client_outlive_kill_9(node: Node):
    target, topic = Target(node.mqtt_port), fresh("kept")
    names = {each: fresh(f"{each[0].name}-{NAMES[each[1]]}-") for each in EVERYBODY}
    for (maker, version), name in names.items():
        async with opened(maker, target, version, name, **KEPT) as client:
            assert await client.subscribe(Want(topic, 2 if version == V5 else 1)) in (1, 2)
    async with opened(PahoClient, target, V311) as writer:
        sent = [Message(topic, str(number).encode(), 1 + number % 2) for number in range(COUNT)]
        await writer.publish(sent)
    await killed(node)
    for (maker, version), name in names.items():
        async with opened(maker, target, version, name, **KEPT) as client:
            if maker.name == "mosquitto":  # its connection begins with a filter
                await client.subscribe(Want(topic, 1))
            await eventually(
                lambda seen=client.seen: len(seen.messages) >= COUNT, seconds=SECONDS, what=name
            )
            got = [int(message.payload) for message in client.seen.messages]
            # Each QoS keeps its own order [MQTT-4.6.0-5]: what is released by PUBREL may come later.
            assert [n for n in got if not n % 2] == list(range(0, COUNT, 2)), name
            assert [n for n in got if n % 2] == list(range(1, COUNT, 2)), name


async def test_retained_messages_of_every_client_outlive_kill_9(node: Node):
    target, base = Target(node.mqtt_port), fresh("retained")
    sent = [
        Message(f"{base}/{at}", str(at).encode(), 1, retain=True) for at in range(len(EVERYBODY))
    ]
    for (maker, version), message in zip(EVERYBODY, sent, strict=True):
        async with opened(maker, target, version) as client:
            await client.publish([message])
    await killed(node)
    async with opened(PahoClient, target, V5) as reader:
        await reader.subscribe(Want(f"{base}/#", 1))
        await eventually(lambda: len(reader.seen.messages) >= len(sent), seconds=SECONDS)
        assert sorted(reader.seen.messages, key=lambda m: int(m.payload)) == sent
