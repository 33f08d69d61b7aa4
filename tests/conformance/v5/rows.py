"""Rows of the suite: a statement's number, and a short scene that shows whether the broker keeps to it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.fakes.raw_mqtt import RawMqtt
from tests.fakes.raw_packets import CONNACK, DISCONNECT, NAMES, Prop
from tests.fakes.raw_reading import Packet
from tests.fakes.raw_scene import Scene

Scenario = Callable[[Scene], Awaitable[None]]


class Rows:
    """The rows of one module; used as a decorator, `@rows("3.1.0-2")`."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, Scenario]] = []

    def __call__(self, *numbers: str) -> Callable[[Scenario], Scenario]:
        """Make a scenario the row of these statements."""

        def add(scenario: Scenario) -> Scenario:
            self._rows += [(number, scenario) for number in numbers]
            return scenario

        return add

    def __iter__(self) -> Iterator[str]:
        """Iterate over the numbers."""
        return iter(number for number, _ in self._rows)

    def run(self) -> Any:
        """Return the mark that runs them; a statement with several scenes has their names in its ids."""
        counts = Counter(self)
        return pytest.mark.parametrize(
            "scenario",
            [
                pytest.param(
                    scenario,
                    id=f"MQTT-{number}" + (f"[{scenario.__name__}]" if counts[number] > 1 else ""),
                )
                for number, scenario in self._rows
            ],
        )


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


async def listener(scene: Scene, *filters: Any, qos: int = 0, **options: Any) -> RawMqtt:
    """Connect and subscribe."""
    client = await scene.client(options.pop("client_id", "listener"), **options)
    codes = await client.subscribe(*filters, qos=qos)
    assert max(codes) < 0x80, f"refused: {codes}"
    return client


def size_of(packet: Packet) -> int:
    """Return the bytes of a whole packet."""
    size = len(packet.body)
    return 1 + sum(size >= most for most in (0, 128, 16_384, 2_097_152)) + size
