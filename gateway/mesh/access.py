"""Access records in memory: what a device's lists and tokens are, asked a thousand times for each read.

Synchronous questions get an answer or `UNKNOWN`; what is unknown is read with one query a tick.  A fill that
began before the newest write of its device is thrown away, so a revoked right never comes back.
"""

import asyncio
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Final

from gateway.errors import GatewayError
from gateway.mesh.work import Work
from gateway.model.clock import Clock
from gateway.model.device import AccessRecord, DeviceUuid
from gateway.model.ports import DeviceRepository

logger = logging.getLogger(__name__)

MOST_RECORDS = 20_000
MOST_BYTES = (
    8 << 20
)  # topic rules: bounded by bytes; a record of an owned device takes about 1.5 kB
MOST_WAITERS = 10_000
ABSENT_MS = 5_000  # how long "no such device" is believed (topic rules, section 7)
RETRY_S = 0.2  # after a store that was busy, so that parked packets do not spin
QUERY_KEYS = 500  # of one query; SQLite takes 32,766, a slow card prefers breaks


class _Unknown(Enum):
    UNKNOWN = 0


UNKNOWN: Final = _Unknown.UNKNOWN
"""Not in memory: `want` it, and ask again when told."""

Answer = AccessRecord | None | _Unknown
Told = Callable[[], None]


class AccessCache:
    """The access records last asked for, least recently used ones dropped."""

    def __init__(
        self,
        devices: DeviceRepository,
        clock: Clock,
        work: Work,
        *,
        most_records: int = MOST_RECORDS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._devices = devices
        self._clock = clock
        self._work = work
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._records: OrderedDict[DeviceUuid, tuple[AccessRecord | None, int, int]] = OrderedDict()
        self._bytes = 0
        self._wanted: dict[DeviceUuid, list[Told]] = {}
        self._is_filling = False
        self._filling: dict[DeviceUuid, int] = {}  # fills under way
        self._stale: set[DeviceUuid] = set()  # written while a fill was under way
        self._on_filled: Callable[[Sequence[DeviceUuid]], None] = _ignore

    def known(self, uuid: DeviceUuid) -> Answer:
        """Return the record, None for a device that does not exist, or UNKNOWN."""
        entry = self._records.get(uuid)
        if entry is None:
            return UNKNOWN
        record, _size, until_ms = entry
        if record is None and self._clock.uptime_ms() >= until_ms:
            self._drop(uuid)
            return UNKNOWN
        self._records.move_to_end(uuid)
        return record

    def on_filled(self, callback: Callable[[Sequence[DeviceUuid]], None]) -> None:
        """Set whom to tell which devices were read: the broker's parked packets."""
        self._on_filled = callback

    def want(self, uuids: Iterable[DeviceUuid], told: Told | None = None) -> bool:
        """Read these devices soon, all of a tick with one query; `told` is called once for each of them.

        False when too many wait already; nothing is read then.
        """
        if len(self._wanted) >= MOST_WAITERS:
            return False
        for uuid in uuids:
            waiting = self._wanted.setdefault(uuid, [])
            if told is not None:
                waiting.append(told)
        if not self._is_filling and self._wanted:
            self._is_filling = self._work.submit("access", self._fill_wanted)
        return True

    async def fetch(self, uuids: Sequence[DeviceUuid]) -> Mapping[DeviceUuid, AccessRecord | None]:
        """Return the records of these devices, read in one query where they are not in memory."""
        found: dict[DeviceUuid, AccessRecord | None] = {}
        missing = []
        for uuid in dict.fromkeys(uuids):
            record = self.known(uuid)
            if record is UNKNOWN:
                missing.append(uuid)
            else:
                found[uuid] = record
        if missing:
            found.update(await self._fill(missing))
        return found

    def invalidate(self, uuid: DeviceUuid) -> None:
        """Forget what is known of a device: it was written."""
        self._drop(uuid)
        if uuid in self._filling:
            self._stale.add(uuid)

    async def _fill_wanted(self) -> None:
        # First of all: a fill that is cut short must not keep later ones from being submitted.
        self._is_filling = False
        wanted, self._wanted = self._wanted, {}
        try:
            await self._fill(list(wanted))
        except GatewayError as error:
            logger.warning("access records could not be read", extra={"code": error.code})
            await asyncio.sleep(RETRY_S)
        finally:
            for tellings in wanted.values():
                for told in tellings:
                    told()
            self._on_filled(list(wanted))

    async def _fill(self, uuids: Sequence[DeviceUuid]) -> dict[DeviceUuid, AccessRecord | None]:
        for uuid in uuids:
            self._filling[uuid] = self._filling.get(uuid, 0) + 1
        found: dict[DeviceUuid, AccessRecord | None] = {}
        try:
            for start in range(0, len(uuids), QUERY_KEYS):
                part = uuids[start : start + QUERY_KEYS]
                records = await self._devices.access_records(part)
                found.update((uuid, records.get(uuid)) for uuid in part)
        finally:
            fresh = self._finished(uuids)
        for uuid in fresh:
            self._keep(uuid, found[uuid])
        return found

    def _finished(self, uuids: Sequence[DeviceUuid]) -> list[DeviceUuid]:
        fresh = [uuid for uuid in uuids if uuid not in self._stale]
        for uuid in uuids:
            self._filling[uuid] -= 1
            if not self._filling[uuid]:
                del self._filling[uuid]
                self._stale.discard(uuid)
        return fresh

    def _keep(self, uuid: DeviceUuid, record: AccessRecord | None) -> None:
        self._drop(uuid)
        size = _size(record)
        self._records[uuid] = (record, size, self._clock.uptime_ms() + ABSENT_MS)
        self._bytes += size
        while len(self._records) > self._most_records or self._bytes > self._most_bytes:
            _oldest, (_record, gone, _until) = self._records.popitem(last=False)
            self._bytes -= gone

    def _drop(self, uuid: DeviceUuid) -> None:
        entry = self._records.pop(uuid, None)
        if entry is not None:
            self._bytes -= entry[1]


def _size(record: AccessRecord | None) -> int:
    base = 200  # key, tuple, dictionary slot
    if record is None:
        return base
    names = sum(sys.getsizeof(names) + 85 * len(names) for names in record.lists.values())
    return base + sys.getsizeof(record.lists) + names + 70 * len(record.token_hashes)


def _ignore(_uuids: Sequence[DeviceUuid]) -> None:
    """Nobody is parked on a mesh without a broker."""
