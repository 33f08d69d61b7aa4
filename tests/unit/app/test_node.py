"""What systemd and the console are told of a start."""

import asyncio
from typing import Any

import pytest

from gateway.app import node
from gateway.runtime.systemd import Notifier
from tests.fakes.waiting import eventually


class Said(Notifier):
    """A notifier that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__({})
        self.states: list[str] = []

    def ready(self, status: str = "") -> None:
        self.states.append(status)


class Listening:
    """The part of a node that `Ready` looks at."""

    def __init__(self) -> None:
        self.listens = asyncio.Event()
        self.options: Any = node.Options.__new__(node.Options)
        object.__setattr__(self.options, "on_ready", None)

    async def broker_ready(self) -> None:
        await self.listens.wait()

    def mqtt_addresses(self) -> list[str]:
        return ["127.0.0.1:1883"]


async def test_a_node_whose_mqtt_port_is_taken_is_ready_before_systemd_kills_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "MOST_START_S", 0.01)
    parts: Any = Listening()
    said = Said()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(node.Ready(parts, said).run())
        await eventually(lambda: said.states)
        assert "no MQTT listener" in said.states[0]
        parts.listens.set()
        await eventually(lambda: len(said.states) == 2)
        service.cancel()
    assert said.states[1] == "MQTT on 127.0.0.1:1883"
