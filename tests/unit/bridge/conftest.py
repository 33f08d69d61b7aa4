"""Shared parts of the bridge's tests."""

import asyncio
import contextlib

import pytest
from hypothesis import settings

from tests.unit.bridge.fakes import Bench

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def running():
    """Return a context manager that runs a service and ends it again."""

    @contextlib.asynccontextmanager
    async def run(*services):
        tasks = [asyncio.get_running_loop().create_task(service.run()) for service in services]
        try:
            await asyncio.sleep(0.005)  # a service may start tasks of its own
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return run
