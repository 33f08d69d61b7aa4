"""A link, an identity store and collaborators with the same rules as the real ones, in memory."""

import asyncio
from dataclasses import replace

from gateway.bridge.claiming import Owners
from gateway.bridge.intake import Intake
from gateway.errors import LinkLostError, StoreBusyError
from gateway.model import DeviceUuid, Ticket
from tests.fakes.clock import FakeClock

NODE = DeviceUuid("aaaaaaaa-0000-4000-8000-000000000001")
OWNER = DeviceUuid("aaaaaaaa-0000-4000-8000-000000000002")


class FakeLink:
    """Matches `Link`: yields what the test feeds, notes what is written, can be unplugged."""

    def __init__(self, clock, name="port", origin="serial:usb-X_1"):
        self.name, self.origin = name, origin
        self.written = []
        self.opened = 0
        self.is_open = False
        self.readers = 0
        self.on_write = lambda data: None
        self._clock = clock
        self._queue = asyncio.Queue()

    def feed(self, *items):
        for item in items:
            self._queue.put_nowait((item, self._clock.stamp()))

    def replug(self):
        self._queue.put_nowait("replug")

    async def chunks(self):
        self.readers += 1
        self.opened += 1
        self.is_open = True
        try:
            while True:
                item = await self._queue.get()
                if item == "replug":
                    self.opened += 1
                    continue
                yield item
        finally:
            self.readers -= 1
            self.is_open = False

    async def write(self, data):
        if not self.is_open:
            raise LinkLostError("link port is not open", code="GW-1204", hint="plug it in")
        self.written.append(data)
        self.on_write(data)

    def state(self):
        return {"state": "open" if self.is_open else "missing", "counters": {"opened": self.opened}}


class FakeIdentities:
    """Matches `IdentityRepository`; claims wait while `gate` is clear, and fail while `is_busy`."""

    def __init__(self, *known):
        self.rows = {identity.hardware_id: identity for identity in known}
        self.documents = {}
        self.noted = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.hangs_for = ()
        self.failures = 0

    async def all(self):
        return list(self.rows.values())

    async def claim(self, identity, document):
        if identity.hardware_id in self.hangs_for:
            await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise StoreBusyError("locked", code="GW-1504", hint="wait")
        assert identity.slug not in {
            row.slug for key, row in self.rows.items() if key != identity.hardware_id
        }
        if identity.hardware_id not in self.rows:
            self.rows[identity.hardware_id] = identity
            self.documents[identity.uuid] = document
        return self.rows[identity.hardware_id]

    async def rename(self, uuid, slug):
        (old,) = (row for row in self.rows.values() if row.uuid == uuid)
        if slug in {row.slug for row in self.rows.values() if row is not old}:
            raise KeyError(slug)
        self.rows[old.hardware_id] = replace(old, slug=slug)
        return self.rows[old.hardware_id]

    async def forget(self, uuid):
        found = [row for row in self.rows.values() if row.uuid == uuid]
        for row in found:
            del self.rows[row.hardware_id]
        return found[0] if found else None

    def seen(self, uuid, wall_ms, link):
        self.noted.append((uuid, wall_ms, link))


class Witness:
    """Matches `Observer`; keeps what it was told."""

    def __init__(self):
        self.told = []

    def known(self, identity):
        self.told.append(("known", identity.slug))

    def reading(self, identity, values, observed):
        self.told.append(("reading", identity.slug, dict(values)))

    def event(self, identity, name, observed):
        self.told.append(("event", identity.slug, name))

    def availability(self, identity, *, is_online):
        self.told.append(("availability", identity.slug, is_online))

    def forgotten(self, identity):
        self.told.append(("forgotten", identity.slug))


class Bench:
    """An intake with everything around it, and what came out."""

    def __init__(self, *known):
        self.clock = FakeClock()
        self.identities = FakeIdentities(*known)
        self.routed = []
        self.published = []
        self.retained = {}
        self.owner = OWNER
        self.intake = Intake(
            self.identities,
            self.clock,
            route=self._route,
            publish=self._publish,
            owners=lambda: Owners(NODE, self.owner),
        )

    def _route(self, batch):
        self.routed.extend(batch)
        return Ticket(len(self.routed))

    def _publish(self, topic, payload, retain):
        self.published.append((topic, payload, retain))
        if retain:
            self.retained[topic] = payload
            if not payload:
                del self.retained[topic]

    def topics(self, end):
        return [(topic, payload) for topic, payload, _ in self.published if topic.endswith(end)]
