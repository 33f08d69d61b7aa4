"""What codecs say becomes messages of devices: resolve or claim, group, route, publish. The way in for every reading."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable, Sequence

from gateway.bridge.claiming import Claims, Owners
from gateway.bridge.devices import MOST_VALUES, Device, Devices, Group, Source, encoded, grouped
from gateway.bridge.ports import Observer, Publish, Route
from gateway.bridge.slugs import is_slug
from gateway.errors import ConfigError
from gateway.model import (
    Clock,
    DeviceUuid,
    Event,
    Identity,
    Message,
    MessageKind,
    Reading,
    Scalar,
    Ticket,
)
from gateway.model.ports import IdentityRepository

log = logging.getLogger(__name__)

SILENT_AFTER_MS = 10 * 60_000  # the slowest sensors seen report every five minutes
TICK_S = 5.0


class Intake:
    """Service and entrance: `accept` is synchronous and never waits; claims and silence are its background."""

    name = "intake"
    required = False

    def __init__(
        self,
        identities: IdentityRepository,
        clock: Clock,
        *,
        route: Route,
        publish: Publish,
        owners: Callable[[], Owners],
    ) -> None:
        self.devices = Devices()
        self.counts = {"readings": 0, "events": 0, "messages": 0, "unfit": 0}
        self._identities = identities
        self._clock = clock
        self._route = route
        self._publish = publish
        self._owners = owners
        self._claims = Claims(identities, self.devices, clock.wall_ms, self._claimed)
        self._observers: list[Observer] = []
        self._id_stem = str(uuid.uuid4())[:24]  # ids of this start: uuids that count
        self._id_number = 0

    @property
    def dropped(self) -> int:
        """Return how many groups were dropped because their device could not be claimed in time."""
        return self._claims.dropped

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of everything from now on, beginning with the devices that are known."""
        self._observers.append(observer)
        for device in self.devices:
            observer.known(device.identity)

    async def load(self) -> None:
        """Read the identities of earlier runs; their devices are offline until they are heard."""
        for identity in await self._identities.all():
            device = self.devices.add(identity)
            for observer in self._observers:
                observer.known(identity)
            self._tell_availability(device)

    async def run(self) -> None:
        """Service: claim what is unknown, note who fell silent; cancelled, everybody is offline."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._claims.run(self._owners), name="claims")
                group.create_task(self._watch_silence(), name="silence")
        finally:
            for device in self.devices:
                self._go(device, is_online=False)

    # --- the fast path ----------------------------------------------------------------------

    def accept(self, batch: Iterable[Reading | Event], source: Source) -> Ticket | None:
        """Take what one `feed()` said; returns the router's ticket, None when nothing was routed."""
        return self._take(grouped(batch), source)

    def _take(self, groups: Sequence[Group], source: Source) -> Ticket | None:
        messages: list[Message] = []
        heard: dict[Device, list[Group]] = {}
        known = self.devices.by_hardware
        for group in groups:
            device = known.get(group.hardware_id)
            if device is None:
                self._claims.hold(group, source)
                continue
            message = self._message(device, group)
            if message is not None:
                messages.append(message)
                heard.setdefault(device, []).append(group)
        if not messages:
            return None
        self.counts["messages"] += len(messages)
        ticket = self._route(messages)
        uptime_ms, wall_ms = self._clock.uptime_ms(), self._clock.wall_ms()
        for device, its_groups in heard.items():
            device.last_heard_ms, device.last_seen_ms = uptime_ms, wall_ms
            device.link = source.link
            self._identities.seen(device.identity.uuid, wall_ms, source.link)
            self._announce(device, its_groups)
        return ticket

    def _message(self, device: Device, group: Group) -> Message | None:
        try:
            if group.event is not None:
                kind, body = MessageKind.EVENT, encoded({"event": group.event}).encode()
                self.counts["events"] += 1
            else:
                kind, body = MessageKind.READING, device.body(group)
                self.counts["readings"] += len(group.units)
        except ValueError:  # not a number, half a surrogate pair: no JSON, so no message
            self._note_unfit(device)
            return None
        self._id_number += 1
        return Message(
            f"{self._id_stem}{self._id_number:012x}",
            kind,
            device.identity.uuid,
            body,
            group.observed,
        )

    def _announce(self, device: Device, groups: Sequence[Group]) -> None:
        """Tell broker and observers: events one by one, values once, merged."""
        self._go(device, is_online=True)
        newest: dict[str, tuple[Scalar, str]] = {}
        for group in groups:
            if group.event is None:
                device.values.update(group.payload)
                if len(device.values) > MOST_VALUES:
                    device.forget_oldest_values()
                if self._observers:
                    newest.update(
                        zip(
                            group.payload,
                            zip(group.payload.values(), group.units, strict=True),
                            strict=True,
                        )
                    )
                continue
            self._publish(device.topic("event"), encoded({"event": group.event}).encode(), False)
            for observer in self._observers:
                observer.event(device.identity, group.event, group.observed)
        if device.values and any(group.event is None for group in groups):
            self._publish(device.topic("reading"), encoded(device.values).encode(), True)
        if newest:
            for observer in self._observers:
                observer.reading(device.identity, newest, groups[-1].observed)

    def _note_unfit(self, device: Device) -> None:
        unfit = self.counts["unfit"] = self.counts["unfit"] + 1
        if unfit & (unfit - 1) == 0:
            log.warning(
                "driver said what JSON cannot carry",
                extra={"driver": device.identity.driver, "times": unfit},
            )

    # --- devices come and go ----------------------------------------------------------------

    def _claimed(self, identity: Identity, source: Source, held: list[Group]) -> None:
        device = self.devices.add(identity)
        log.info(
            "device claimed",
            extra={"slug": identity.slug, "uuid": identity.uuid, "driver": identity.driver},
        )
        for observer in self._observers:
            observer.known(device.identity)
        self._take(held, source)

    def link_lost(self, link: str) -> None:
        """Note that a link is gone: whoever was heard on it is offline."""
        for device in self.devices:
            if device.link == link:
                self._go(device, is_online=False)

    async def _watch_silence(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.note_silence()

    def note_silence(self) -> None:
        """Take those offline who were not heard for ten minutes."""
        now_ms = self._clock.uptime_ms()
        for device in self.devices:
            if device.is_online and now_ms - device.last_heard_ms > SILENT_AFTER_MS:
                self._go(device, is_online=False)

    def _go(self, device: Device, *, is_online: bool) -> None:
        if device.is_online is not is_online:
            device.is_online = is_online
            self._tell_availability(device)

    def _tell_availability(self, device: Device) -> None:
        text = b"online" if device.is_online else b"offline"
        self._publish(device.topic("availability"), text, True)
        for observer in self._observers:
            observer.availability(device.identity, is_online=device.is_online)

    # --- what people do with devices --------------------------------------------------------

    async def rename(self, uuid: DeviceUuid, slug: str) -> Identity:
        """Give a device another slug; raises ConfigError (GW-1707 unknown, GW-1708 taken, GW-1710 no slug)."""
        device = self._device(uuid)
        if not is_slug(slug):
            raise ConfigError(
                f"{slug!r} cannot be a device's short name",
                code="GW-1710",
                hint="use 1 to 64 of the characters a-z, 0-9, - and _",
            )
        if slug in self.devices.by_slug and self.devices.by_slug[slug] is not device:
            raise _taken(slug)
        try:
            identity = await self._identities.rename(uuid, slug)
        except KeyError as error:
            raise _taken(slug) from error
        self._clear_retained(device)
        self.devices.rename(device, identity)
        for observer in self._observers:
            observer.known(identity)
        self._tell_availability(device)
        if device.values:
            self._publish(device.topic("reading"), encoded(device.values).encode(), True)
        return identity

    async def forget(self, uuid: DeviceUuid) -> Identity:
        """Remove a device and its retained topics; heard again, it is claimed as a new one. Raises GW-1707."""
        device = self._device(uuid)
        await self._identities.forget(uuid)
        if device.identity.hardware_id in self.devices.by_hardware:
            self._clear_retained(device)
            self.devices.remove(device)
            for observer in self._observers:
                observer.forgotten(device.identity)
        return device.identity

    async def forget_demo(self) -> int:
        """Forget every played-back device; returns how many there were."""
        demo = [device.identity.uuid for device in self.devices if device.identity.is_demo]
        for each in demo:
            await self.forget(each)
        return len(demo)

    def seen(self) -> Sequence[Device]:
        """Return every device with its last values, as status shows them."""
        return list(self.devices)

    def _device(self, uuid: DeviceUuid) -> Device:
        device = self.devices.by_uuid.get(uuid)
        if device is None:
            raise ConfigError(
                f"there is no device {uuid} here",
                code="GW-1707",
                hint="`gateway devices` lists those that this gateway brought",
            )
        return device

    def _clear_retained(self, device: Device) -> None:
        for name in ("reading", "availability"):
            self._publish(device.topic(name), b"", True)


def _taken(slug: str) -> ConfigError:
    return ConfigError(
        f"another device is called {slug!r}",
        code="GW-1708",
        hint="choose another name, or rename the other device first",
    )
