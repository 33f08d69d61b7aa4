"""A broker for every conformance test; `scene.client()` logs a raw client in."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.raw_scene import Scene
from tests.fakes.raw_scene import scene as running_scene


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A broker in memory whose clients speak 3.1.1 unless told otherwise."""
    async with running_scene() as made:
        yield made


@pytest.fixture
async def scene5() -> AsyncIterator[Scene]:
    """The same, for MQTT 5."""
    async with running_scene(version=5) as made:
        yield made
