"""What is seen right now, for the page and `gateway follow`: last values, and events encoded once for all viewers.

A viewer that stops reading costs one bounded queue: it is emptied and told to start again from a snapshot.
"""

import asyncio
import json
from array import array
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.model import DeviceUuid, Scalar

MOST_VIEWERS = 16
MOST_WAITING_EVENTS = 256  # then the viewer is behind and gets a snapshot instead
MOST_DEVICES = 1000  # more are routed as ever, but not shown
TREND_POINTS = 48  # a sparkline's width; doubles, so 384 bytes for each quantity
MOST_TRENDS = 2000
MOST_QUANTITIES = 64  # of one device; a sender that makes up names cannot fill the memory
MOST_TEXT = 256
MOST_NUMBER = 1e300  # what a double, and JSON in a browser, can hold

Values = Mapping[str, tuple[Scalar, str]]
"""quantity -> (value, SenML unit)"""


@dataclass(slots=True)
class Seen:
    """One device as the page shows it."""

    uuid: DeviceUuid
    slug: str
    name: str
    driver: str = ""
    link: str = ""
    demo: bool = False
    availability: str = "online"
    last_seen_ms: int | None = None
    values: dict[str, tuple[Scalar, str, int | None]] = field(default_factory=dict)
    trends: dict[str, "array[float]"] = field(default_factory=dict)


class Live:
    """Last values of every device, and the stream of what changes."""

    def __init__(self, snapshot: Callable[[], dict[str, Any]]) -> None:
        """`snapshot()` gives the whole status, which a viewer gets first."""
        self.devices: dict[DeviceUuid, Seen] = {}
        self._snapshot = snapshot
        self._viewers: set[asyncio.Queue[bytes]] = set()
        self._trends = 0

    @property
    def viewers(self) -> int:
        """Return how many streams are open."""
        return len(self._viewers)

    def has_room(self) -> bool:
        """Return whether one more viewer may watch."""
        return len(self._viewers) < MOST_VIEWERS

    def know(self, seen: Seen) -> None:
        """Show a device from now on (replacing what was known of its name, driver and link)."""
        old = self.devices.get(seen.uuid)
        if old is not None:
            seen.values, seen.trends, seen.last_seen_ms = (
                old.values,
                old.trends,
                old.last_seen_ms or seen.last_seen_ms,
            )
        elif len(self.devices) >= MOST_DEVICES:
            return
        self.devices[seen.uuid] = seen
        self.tell("device", described(seen))

    def forget(self, uuid: DeviceUuid) -> None:
        """Show a device no longer."""
        seen = self.devices.pop(uuid, None)
        if seen is not None:
            self._trends -= len(seen.trends)
            self.tell("forgotten", {"uuid": uuid})

    def availability(self, uuid: DeviceUuid, availability: str) -> None:
        """Note that a device came or went."""
        seen = self.devices.get(uuid)
        if seen is not None and seen.availability != availability:
            seen.availability = availability
            self.tell("device", described(seen))

    def reading(
        self, uuid: DeviceUuid, values: Values, at_ms: int | None, *, late: bool = False
    ) -> None:
        """Note observed values; late ones are told, but last values only move forward in time."""
        seen = self.devices.get(uuid)
        if seen is None:  # its document is still on the way: shown by its uuid until then
            self.know(Seen(uuid, uuid[:8], uuid[:8]))
            seen = self.devices.get(uuid)
        if seen is None:
            return
        values = _shown(values, seen.values)
        newest = seen.last_seen_ms
        if not late or newest is None or (at_ms is not None and at_ms > newest):
            seen.last_seen_ms = at_ms
            for quantity, (value, unit) in values.items():
                seen.values[quantity] = (value, unit, at_ms)
                if type(value) is float or type(value) is int:
                    self._trend(seen, quantity, value)
        if self._viewers:
            self.tell(
                "reading",
                {
                    "uuid": uuid,
                    "slug": seen.slug,
                    "values": {q: {"value": v, "unit": u} for q, (v, u) in values.items()},
                    "at_ms": at_ms,
                    "late": late,
                },
            )

    def tell(self, event: str, data: object) -> None:
        """Send one event to every viewer; encoded once, and not at all without viewers."""
        if not self._viewers:
            return
        frame = encoded(event, data)
        for queue in self._viewers:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(encoded("snapshot", self._snapshot()))
            else:
                queue.put_nowait(frame)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield server-sent events: a snapshot, then what changes; a comment each 15 s keeps proxies awake."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING_EVENTS)
        self._viewers.add(queue)
        try:
            yield encoded("snapshot", self._snapshot())
            while True:
                try:
                    async with asyncio.timeout(15):
                        yield await queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            self._viewers.discard(queue)

    def _trend(self, seen: Seen, quantity: str, value: float) -> None:
        points = seen.trends.get(quantity)
        if points is None:
            if self._trends >= MOST_TRENDS:
                return
            self._trends += 1
            points = seen.trends[quantity] = array("d")
        points.append(value)
        if len(points) > TREND_POINTS:
            del points[0]


def _shown(values: Values, known: Mapping[str, object]) -> Values:
    """Return what the page can show: JSON has no NaN, and a device no more than so many quantities."""
    room = MOST_QUANTITIES - len(known)
    shown: dict[str, tuple[Scalar, str]] = {}
    for name, (value, unit) in values.items():
        if not _is_plain(value) or len(name) > MOST_TEXT:
            continue
        if name not in known:
            if room <= 0:
                continue
            room -= 1
        shown[name] = (value[:MOST_TEXT] if isinstance(value, str) else value, unit[:MOST_TEXT])
    return shown


def _is_plain(value: object) -> bool:
    if isinstance(value, int | float):
        return abs(value) < MOST_NUMBER  # false for NaN
    return isinstance(value, str)


def encoded(event: str, data: object) -> bytes:
    """Return one server-sent event."""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def described(seen: Seen, *, trends: bool = False) -> dict[str, Any]:
    """Return a device as JSON for status, page and follow."""
    values: dict[str, Any] = {}
    for quantity, (value, unit, at_ms) in seen.values.items():
        values[quantity] = {"value": value, "unit": unit, "at_ms": at_ms}
        if trends and quantity in seen.trends:
            values[quantity]["trend"] = [round(point, 3) for point in seen.trends[quantity]]
    return {
        "uuid": seen.uuid,
        "slug": seen.slug,
        "name": seen.name,
        "driver": seen.driver,
        "link": seen.link,
        "demo": seen.demo,
        "availability": seen.availability,
        "last_seen_ms": seen.last_seen_ms,
        "values": values,
    }
