"""The fixture of the broker's contract: a running engine, by name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.mqtt_engines import Engine, started

AMQTT_WARNS = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # amqtt leaves sockets to the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    """The engine that `engines_with` named."""
    async with started(request.param, tmp_path) as engine:
        yield engine
