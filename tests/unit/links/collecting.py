"""Consume a link in the background, as the bridge does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from gateway.links.link import Link


class Collected(list[Any]):
    """What came, without its stamps."""

    @property
    def text(self) -> bytes:
        return b"".join(self)


@asynccontextmanager
async def collecting(link: Link) -> AsyncIterator[Collected]:
    """Iterate `link.chunks()` until the block ends."""
    heard = Collected()

    async def consume() -> None:
        async for item, _stamp in link.chunks():
            heard.append(item)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(consume())
        try:
            yield heard
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
