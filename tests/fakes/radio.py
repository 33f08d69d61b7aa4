"""The air above a private D-Bus: a fake BlueZ in a thread of its own, so that a test may wait for processes meanwhile."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from gateway.driver.captures import Capture
from tests.fakes.fakebluez import FakeBlueZ
from tests.fakes.privatebus import private_bus

ANSWER_S = 10.0


class Air:
    """What a test may do with the radio; each call ends when it is done."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bluez = self.do(FakeBlueZ().start())
        self.do(self._bluez.add_adapter())

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the fake's own loop."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(ANSWER_S)

    def is_scanning(self) -> bool:
        """Return whether somebody listens."""
        return bool(self._bluez.is_scanning())

    def send(self, capture: Capture) -> bool:
        """Let a recorded advert reach the radio; returns whether it was signalled."""
        advert: Any = capture.item
        return bool(
            self.do(
                self._bluez.advertise(
                    advert.address,
                    manufacturer=advert.manufacturer_data,
                    service=advert.service_data,
                    rssi=advert.rssi_dbm,
                )
            )
        )

    def close(self) -> None:
        """Leave the bus."""
        self.do(self._bluez.stop())


@contextlib.contextmanager
def air(folder: Path) -> Iterator[Air]:
    """Open the air until the block ends; processes that are started within find it by their environment."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    with private_bus(folder):
        thread.start()
        try:
            radio = Air(loop)
            yield radio
            radio.close()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
