"""Both ends of the uplink in one node: its children's server, and its own line to a parent."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.app.seeing import show_document, show_messages
from gateway.app.times import Times
from gateway.errors import ConfigError
from gateway.model import Anchor, Clock, DeviceUuid, Document, Message, Ticket
from gateway.model.ports import SearchQuery
from gateway.store.committer import Committer
from gateway.store.ranges import SqliteRanges
from gateway.uplink.certificate import own_fingerprint
from gateway.uplink.child import ChildPorts, ChildUplink, UplinkSettings
from gateway.uplink.enrol import EnrolPorts
from gateway.uplink.invitation import new_invite
from gateway.uplink.join import join
from gateway.uplink.parent_file import ParentAddress, leave, load_parent
from gateway.uplink.server import ServerPorts, UplinkServer

if TYPE_CHECKING:
    from gateway.app.parts import Parts

log = logging.getLogger(__name__)

MOST_REGISTERED = 2000  # devices that a node tells its parent of


class TimedRanges(SqliteRanges):
    """Ranges whose anchors also tell the router when things were observed."""

    def __init__(self, committer: Committer, times: Times, clock: Clock) -> None:
        super().__init__(committer, clock=clock)
        self._times = times

    async def anchor(self, node: DeviceUuid, anchor: Anchor) -> None:
        """Keep a child's anchor, and use it."""
        self._times.learn(anchor)
        await super().anchor(node, anchor)


class Uplinking:
    """The server for children and the uplink to the parent."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        stores = parts.stores
        self.has_parent = False
        self.server = UplinkServer(
            parts.mesh.broker,
            ServerPorts(
                TimedRanges(stores.log, parts.times, parts.clock),
                stores.downlog,
                EnrolPorts(
                    stores.children, stores.devices, stores.tokens, parts.mesh.mesh.hasher.hash
                ),
                self._from_child,
                self._changed,
            ),
            parts.clock,
            mesh_id=parts.who.uuid,
            node=parts.who.uuid,
        )
        self.uplink: ChildUplink

    async def open(self) -> ChildUplink:
        """Read children and parent; joins the demo's parent where one is given. Returns the uplink service."""
        parts = self._parts
        await self.server.open()
        await self._show_children()
        if parts.options.join_line is not None:
            await self._join(parts.options.join_line)
        self._look_for_parent()
        self.uplink = ChildUplink(
            parts.who.uuid,
            ChildPorts(
                parts.stores.spool,
                parts.stores.inbox,
                self._documents,
                dispatch=parts.dispatcher.send,
                route_result=parts.answer,
                load_parent=self._parent,
            ),
            parts.clock,
            UplinkSettings(
                most_delay_s=parts.settings.uplink.most_retry_s,
                keep_alive_s=parts.settings.uplink.keep_alive_s,
            ),
        )
        return self.uplink

    # ---- what operators ask ----

    async def invite(self, owner: DeviceUuid | None) -> dict[str, Any]:
        """Return a line for `gateway join`; raises ConfigError GW-1815 where no child could reach us."""
        host, port, fingerprint = self._reachable()
        invite = new_invite(host, port, fingerprint)
        expires_ms = await self.server.enrolment.invite(invite.code, owner)
        return {"line": invite.line, "expires_ms": expires_ms}

    async def join(self, line: str) -> dict[str, Any]:
        """Join a parent; raises ConfigError GW-1814 in a demo, which keeps its own."""
        if self._parts.options.is_demo:
            raise ConfigError(
                "a demo keeps its own parent: played-back devices never reach another one",
                code="GW-1814",
                hint="run a node without --demo (`gateway run`) and join that",
            )
        parent = await self._join(line)
        self._parent_changed()
        return {"parent": parent.text, "mesh_id": parent.mesh_id}

    def leave(self) -> dict[str, Any]:
        """Leave the parent; what waits in the log stays."""
        was = leave(self._parts.options.state_dir)
        self._parent_changed()
        return {"left": was}

    def documents_changed(self) -> None:
        """Tell the parent of devices that came or changed."""
        if self.has_parent:
            self.uplink.documents_changed()

    # ---- joints ----

    async def _join(self, line: str) -> ParentAddress:
        parts = self._parts
        return await join(line, parts.options.state_dir, parts.who.uuid, parts.settings.node.name)

    def _parent(self) -> ParentAddress | None:
        if not self._parts.settings.uplink.enabled:
            return None
        return load_parent(self._parts.options.state_dir)

    def _look_for_parent(self) -> None:
        try:
            self.has_parent = self._parent() is not None
        except ConfigError as error:
            # There is one: what is meant for it is kept.  The uplink parks with this error, `gateway join` mends it.
            self.has_parent = True
            log.error("the parent is unknown", extra={"code": error.code, "error": error.text})  # noqa: TRY400

    def _parent_changed(self) -> None:
        self._look_for_parent()
        self.uplink.reload()
        self._parts.retry(self.uplink.name)  # it is parked after a refused token

    async def _documents(self) -> Sequence[Document]:
        """Return the devices that this node speaks for: brought here, or registered here by people."""
        server, demo = self.server, self._demo_uuids()

        def is_ours(document: Document) -> bool:
            uuid = document["uuid"]
            return server.child_of(uuid) is None and not server.is_child(uuid)

        found = await self._parts.stores.devices.search(SearchQuery(is_ours, MOST_REGISTERED))
        return [{**each, "demo": True} if each["uuid"] in demo else each for each in found]

    def _demo_uuids(self) -> set[str]:
        return {d.identity.uuid for d in self._parts.intake.devices if d.identity.is_demo}

    def _from_child(self, batch: Sequence[Message]) -> Ticket:
        show_messages(self._parts.live, batch, self._parts.times.observed_ms)
        return self._parts.mesh.router.route(batch)

    def _changed(self, uuid: DeviceUuid) -> None:
        self._parts.mesh.invalidate(uuid)
        self._parts.mesh.mesh.work.submit(uuid, lambda: self._show(uuid))

    async def _show(self, uuid: DeviceUuid) -> None:
        if self.server.child_of(uuid) is None:
            return
        document = await self._parts.stores.devices.get(uuid)
        if document is not None:
            show_document(self._parts.live, uuid, document)

    async def _show_children(self) -> None:
        for uuid in await self._parts.stores.children.brought():
            await self._show(uuid)

    def _reachable(self) -> tuple[str, int, str | None]:
        mqtt = self._parts.settings.mqtt
        addresses = self._parts.faces.addresses()
        if "tls" in addresses:
            host, port = addresses["tls"]
            host = self._parts.faces.outside_name() if host in ("0.0.0.0", "::") else host  # noqa: S104 - read, not bound
            pin = None if mqtt.tls.certificate_file else own_fingerprint(self._state)
            if pin is not None:
                return host, port, pin
        if "tcp" in addresses:
            host, port = addresses["tcp"]
            return ("127.0.0.1" if host in ("0.0.0.0", "::") else host), port, None  # noqa: S104
        raise ConfigError(
            "no MQTT listener runs, so no child could reach this node",
            code="GW-1815",
            hint="enable [mqtt.tls] in gateway.toml (or [mqtt.tcp] for children on this machine) and restart",
        )

    @property
    def _state(self) -> Path:
        return self._parts.options.state_dir
