"""Every part of a node, made once and joined to the others; `services()` lists what runs."""

import contextlib
import logging
import resource
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from gateway import __version__
from gateway.app.bridging import Bridge
from gateway.app.faces import Faces
from gateway.app.housekeeping import ClockWatch, HealthTopic, PortNews, UplinkNews
from gateway.app.identity import NodeIdentity
from gateway.app.live import Live, described
from gateway.app.meshing import Meshing
from gateway.app.observers import BridgeObserver
from gateway.app.options import Options
from gateway.app.peering import Peering
from gateway.app.startup import keep_copy
from gateway.app.stores import Stores, open_stores
from gateway.app.times import Times
from gateway.app.uplinking import Uplinking
from gateway.bridge.claiming import Owners
from gateway.bridge.discovery import discover
from gateway.bridge.dispatch import Dispatcher
from gateway.bridge.intake import Intake
from gateway.config.load import Loaded
from gateway.config.problems import Parked
from gateway.model import Anchor, Command, CommandResult, DeviceUuid, Message, MessageKind
from gateway.model.wire import compact, result_message
from gateway.mqtt.ports import CONSUMED, ROUTED, Publish, Session, Verdict
from gateway.runtime.clock import AnchorWatch, SystemClock
from gateway.runtime.logs import Logs
from gateway.runtime.supervisor import Service
from gateway.store.spool import SpoolLimits
from gateway.uplink.child import ChildUplink

log = logging.getLogger(__name__)


class Parts:
    """One node's parts; `open` before `services`, `close` after they ended."""

    def __init__(
        self,
        loaded: Loaded,
        options: Options,
        who: NodeIdentity,
        logs: Logs,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self.loaded = loaded
        self.settings = loaded.settings
        self.options = options
        self.who = who
        self.logs = logs
        self.clock = SystemClock()
        self.times = Times(self.clock)
        self.live = Live(self.status)
        self.started = time.monotonic()
        self.retry: Callable[[str], None] = lambda _: None
        self._parked: dict[str, Parked] = {row.what: row for row in loaded.parked}
        self._stack = stack
        self.stores: Stores
        self.mesh: Meshing
        self.uplinking: Uplinking
        self.peering: Peering
        self.intake: Intake
        self.dispatcher: Dispatcher
        self.bridge: Bridge
        self.faces: Faces
        self.line: ChildUplink

    async def open(self) -> None:
        """Open stores, mesh, broker, bridge and faces; raises what a person must mend."""
        spool = self.settings.spool
        limits = SpoolLimits(
            loss_window_s=spool.loss_window_s,
            ack_delay_s=spool.ack_delay_ms / 1000,
            offer_interval_s=spool.offer_interval_ms / 1000,
            most_bytes=spool.most_bytes,
        )
        self.stores = await open_stores(
            self._stack, self.options.state_dir, self.clock, self.who.uuid, limits
        )
        self.faces = Faces(self)
        self.mesh = Meshing(self)
        self.uplinking = Uplinking(self)
        self.peering = Peering(self)
        await self.mesh.open()
        self.intake = Intake(
            self.stores.identities,
            self.clock,
            route=self.mesh.router.route,
            publish=self.publish,
            owners=lambda: Owners(self.who.uuid),
        )
        self.dispatcher = Dispatcher(
            self.intake.devices,
            self.clock,
            may=self.mesh.may,
            publish=self.publish,
            finish=self._finished,
            node=self.who.uuid,
        )
        self.mesh.broker.claim("devices/#", self._written)
        self.line = await self.uplinking.open()
        await self.mesh.restore()
        self.bridge = Bridge(
            discover(self.settings.drivers.allow), self.clock, self.intake, self.dispatcher
        )
        await self._open_bridge()
        self.peering.open()
        self.faces.open(self._stack)
        keep_copy(self.loaded, self.options.state_dir)

    async def _open_bridge(self) -> None:
        self.intake.observe(
            BridgeObserver(self.live, self.times.observed_ms, self._document_changed)
        )
        await self.intake.load()
        await self.intake.forget_demo()  # what a demo that was killed left behind
        self.bridge.configure(self.loaded)
        if self.options.is_demo:
            self.bridge.play_back()
        for row in self.bridge.parked:
            self.park(row)

    def _document_changed(self, uuid: DeviceUuid) -> None:
        self.mesh.invalidate(uuid)
        self.uplinking.documents_changed()

    async def close(self) -> None:
        """Leave tidily: played-back devices are forgotten."""
        if self.options.is_demo:
            await self.intake.forget_demo()

    def services(self) -> Sequence[Service]:
        """Return what runs, first what the others need; they end in reverse."""
        watch = AnchorWatch(self.clock, self._anchored)
        return [
            self.stores.state,
            self.stores.log,
            self.mesh.broker,
            self.mesh.mesh.work,
            *self.peering.services,
            self.uplinking.server,
            self.line,
            ClockWatch(watch),
            self.intake,
            *self.bridge.services,
            HealthTopic(self._figures, self.publish),
            PortNews(self._port_news),
            UplinkNews(self.live, self.uplink_state),
            *self.faces.services,
        ]

    # ---- small joints ----

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:  # noqa: FBT001 - the bridge's shape
        """Publish a plain topic as the node."""
        self.mesh.broker.publish(topic, payload, retain=retain)
        if self.faces.amqtt is not None:
            self.faces.amqtt.publish(topic, payload, retain=retain)

    def _written(self, session: Session, publish: Publish) -> Verdict:
        """Take what a local user writes to devices/<slug>/set."""
        parts = publish.topic.split("/")
        if len(parts) == 3 and parts[2] == "set":
            self.dispatcher.from_topic(parts[1], publish.payload, session.principal.name)
            return CONSUMED
        return ROUTED

    def _finished(self, command: Command, result: CommandResult) -> None:
        """Route the answer of a command, and end the command itself in the same commit."""
        body = compact(result_message(result, command.actor, command.respond_to))
        message = Message(
            f"{command.id}:result", MessageKind.RESULT, command.device, body, self.clock.stamp()
        )
        self.mesh.router.route([message])
        if command.via == "parent":
            self.stores.inbox.finish(result)

    def answer(self, command: Command, result: CommandResult) -> None:
        """Answer a command from the parent that no device was asked."""
        self._finished(command, result)

    def _anchored(self, anchor: Anchor) -> None:
        self.times.learn(anchor)
        self.stores.spool.anchor(anchor)

    def _port_news(self, news: dict[str, str]) -> None:
        self.live.tell("port", news)
        log.info(news["text"], extra={"next": news["suggestion"].replace("\n", " | ")})
        if self.options.is_demo:
            print(f"{news['text']}\n{news['suggestion']}".rstrip(), flush=True)  # noqa: T201 - the terminal was promised it

    def park(self, row: Parked) -> None:
        """Show something as parked."""
        self._parked[row.what] = row
        self._show_parked()

    def unpark(self, what: str) -> None:
        """Show it no longer."""
        self._parked.pop(what, None)
        self._show_parked()

    def _show_parked(self) -> None:
        if self.live.viewers:  # and so everything is open: the status can be asked
            self.live.tell("snapshot", self.status())

    def is_commit_overdue(self, most_s: float) -> bool:
        """Return whether a commit has been due for longer than this."""
        since = [self.stores.state.overdue_since, self.stores.log.overdue_since]
        return any(at is not None and time.monotonic() - at > most_s for at in since)

    async def broker_ready(self) -> None:
        """Return once the broker accepts connections on its plain or TLS listener."""
        await self.faces.broker_ready()

    def mqtt_addresses(self) -> list[str]:
        """Return host:port of every MQTT listener."""
        return self.faces.mqtt_addresses()

    # ---- what people see ----

    def events(self) -> AsyncIterator[bytes]:
        """Stream what changes."""
        return self.live.stream()

    def uplink_state(self) -> dict[str, Any]:
        """Return how the line to the parent is, with the log's depth."""
        usage = self.stores.spool.usage()
        oldest = usage.oldest_uptime_ms
        return {
            **self.line.state(),
            "depth_records": usage.records,
            "depth_bytes": usage.bytes,
            "oldest_s": None if oldest is None else (self.clock.uptime_ms() - oldest) / 1000,
            "taken": usage.taken,
            "refused": usage.refused,
        }

    def status(self) -> dict[str, Any]:
        """Return the whole status as JSON."""
        return {
            "node": {
                "uuid": self.who.uuid,
                "name": self.settings.node.name,
                "version": __version__,
                "demo": self.options.is_demo or self.options.child_page is not None,
                "uptime_s": round(time.monotonic() - self.started, 1),
                "started_ms": self.clock.wall_ms() - int((time.monotonic() - self.started) * 1000),
            },
            "devices": [described(seen, trends=True) for seen in self.live.devices.values()],
            "uplink": self.uplink_state(),
            "children": self.uplinking.server.children_state(),
            "bridges": self.peering.state(),
            "parked": [
                {"what": row.what, "code": row.code, "text": row.text, "hint": row.hint}
                for row in self._parked.values()
            ],
            "links": self.bridge.state(),
            "broker": self.mesh.broker.stats(),
            "mqtt": {"listeners": self.faces.mqtt_addresses()},
            "http": {"listeners": self.faces.http_addresses()},
        }

    def _figures(self) -> dict[str, Any]:
        usage = self.stores.spool.usage()
        return {
            "uptime_s": round(time.monotonic() - self.started),
            "peak_rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "readings": self.intake.counts["readings"],
            "devices": len(self.intake.devices),
            "spool_records": usage.records,
            "spool_bytes": usage.bytes,
            "uplink": self.line.state()["state"],
        }
