"""`kill -9` of a broker at any moment: every acknowledged message is delivered, none twice at QoS 2."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.nodes import Node, free_port
from tests.fault.mqtt_crowd import Launch, Life, small, survives

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OPEN = """
[mqtt.limits]
most_waiting_messages = 100_000
most_waiting_bytes = 67_108_864
[[mqtt.listeners]]
name = "open"
port = {port}
anonymous_roles = ["admin"]
"""


class Whole:
    """A real gateway with a listener for everybody."""

    def __init__(self, node: Node, port: int) -> None:
        self._node = node
        self.port = port

    async def kill(self) -> None:
        await asyncio.to_thread(self._node.kill)

    async def stop(self) -> int:
        return await asyncio.to_thread(self._node.stop)


def whole(folder: Path) -> Launch:
    port = free_port()
    node = Node(folder, config=OPEN.format(port=port))

    @contextlib.asynccontextmanager
    async def launch(_: random.Random) -> AsyncIterator[Life]:
        await asyncio.to_thread(node.start)
        try:
            yield Whole(node, port)
        finally:
            await asyncio.to_thread(node.kill)

    return launch


@pytest.mark.parametrize(("version", "seed"), [(4, 1), (5, 2), (4, 3), (5, 4)])
async def test_what_was_acknowledged_is_delivered_over_kills(
    tmp_path: Path, version: int, seed: int
) -> None:
    await survives(small(tmp_path / "log.db"), kills=11, seed=seed, version=version)


async def test_a_whole_node_keeps_its_promises_over_kills(tmp_path: Path) -> None:
    await survives(whole(tmp_path), kills=4, seed=5, version=5)
