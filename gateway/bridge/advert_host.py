"""All BLE drivers on one scanner: an advert nobody wants is dropped before any decoder sees it.

Each driver is a lane, a service of its own behind a bounded queue, so that one that fails is restarted alone.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.bridge.devices import Source
from gateway.bridge.discovery import settings_of
from gateway.bridge.host import closing, watch_link
from gateway.bridge.intake import Intake
from gateway.bridge.turns import request_for
from gateway.driver.contract import Advert, Codec, Driver
from gateway.errors import UnsupportedCommandError
from gateway.links.link import Link
from gateway.model import Command, CommandResult, Event, HardwareId, Outcome, Reading, Stamp

MOST_CODECS = 512  # addresses of one driver; the one not heard longest goes
MOST_QUEUED = 512  # adverts of one driver; then the oldest go: newer ones say the same
BLE = "ble:"


class AdvertLane:
    """Service of one BLE driver: one codec for each address."""

    required = False

    def __init__(
        self,
        link: Link,
        driver: Driver,
        settings: Mapping[str, Any],
        *,
        intake: Intake,
        is_demo: bool = False,
    ) -> None:
        """Check the settings; raises ConfigError (GW-1705)."""
        self.name = f"driver {driver.name} on {link.name}"
        self.driver = driver
        self.source = Source(driver.name, link.name, link.origin, is_demo)
        self.counts = {"started": 0, "adverts": 0, "dropped": 0}
        self._settings = settings_of(driver, settings)
        self._intake = intake
        self._codecs: OrderedDict[str, Codec[Any, Any]] = OrderedDict()
        self._queue: deque[tuple[Advert, Stamp]] = deque(maxlen=MOST_QUEUED)
        self._wake = asyncio.Event()

    def offer(self, advert: Advert, at: Stamp) -> None:
        """Queue an advert that matches this driver."""
        if len(self._queue) == MOST_QUEUED:
            self.counts["dropped"] += 1
        self._queue.append((advert, at))
        self._wake.set()

    async def run(self) -> None:
        """Decode until cancelled; a restart begins with fresh codecs, after the advert that failed."""
        self.counts["started"] += 1
        self._codecs.clear()
        while True:
            while self._queue:
                self._decode(*self._queue.popleft())
            self._wake.clear()
            await self._wake.wait()

    def submit(
        self, command: Command, hardware_id: HardwareId, done: Callable[[CommandResult], None]
    ) -> None:
        """Refuse, in the driver's words: nothing can be written to an advert."""
        detail = "nothing can be written to an advert"
        try:
            request_for(self._codec(hardware_id.removeprefix(BLE)), hardware_id, command)
        except UnsupportedCommandError as error:
            detail = error.text
        done(CommandResult(command.id, Outcome.REFUSED, detail))

    def state(self) -> dict[str, object]:
        """Return what was heard and how it went, ready for JSON."""
        count = self.driver.counters
        totals: dict[str, int] = {}
        for codec in self._codecs.values() if count is not None else ():
            for key, number in (count(codec) if count is not None else {}).items():
                totals[key] = totals.get(key, 0) + number
        return {
            "name": self.name,
            "driver": self.driver.name,
            "codec": totals,
            "counters": {**self.counts, "addresses": len(self._codecs)},
        }

    def _decode(self, advert: Advert, at: Stamp) -> None:
        self.counts["adverts"] += 1
        said = self._codec(advert.address).feed(advert, at)
        observed = [item for item in said if isinstance(item, (Reading, Event))]
        if observed:
            self._intake.accept(observed, self.source)

    def _codec(self, address: str) -> Codec[Any, Any]:
        codec = self._codecs.get(address)
        if codec is not None:
            self._codecs.move_to_end(address)
            return codec
        if len(self._codecs) >= MOST_CODECS:
            self._codecs.popitem(last=False)
        codec = self._codecs[address] = self.driver.open(self._settings, self.source.origin)
        return codec


class AdvertHost:
    """Service of the scanner: hands each advert to the lanes whose keys are in it."""

    required = False

    def __init__(self, link: Link, lanes: Sequence[AdvertLane], intake: Intake) -> None:
        self.name = f"link {link.name}"
        self.counts = {"started": 0, "adverts": 0, "unwanted": 0}
        self._link = link
        self._intake = intake
        self._by_key: dict[str | int, tuple[AdvertLane, ...]] = {}
        for lane in lanes:
            match = lane.driver.match
            keys: set[str | int] = {*match.service_uuids, *match.company_ids}
            for key in keys:
                self._by_key[key] = (*self._by_key.get(key, ()), lane)

    async def run(self) -> None:
        """Sort adverts until cancelled."""
        self.counts["started"] += 1
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(
                    watch_link(self._link, self._intake), name=f"{self.name} watch"
                )
                async with closing(self._link.chunks()) as chunks:
                    async for item, at in chunks:
                        if isinstance(item, Advert):
                            self.sort(item, at)
                watch.cancel()
        finally:
            self._intake.link_lost(self._link.name)

    def sort(self, advert: Advert, at: Stamp) -> None:
        """Offer an advert to each lane that wants it, once."""
        self.counts["adverts"] += 1
        by_key = self._by_key
        wanting: list[AdvertLane] = []
        keys: tuple[str | int, ...] = (*advert.service_data, *advert.manufacturer_data)
        for key in keys:
            for lane in by_key.get(key, ()):
                if lane not in wanting:
                    wanting.append(lane)
        if not wanting:
            self.counts["unwanted"] += 1
        for lane in wanting:
            lane.offer(advert, at)

    def state(self) -> dict[str, object]:
        """Return how the scanner is, ready for JSON."""
        return {"name": self._link.name, "link": self._link.state(), "counters": self.counts}
