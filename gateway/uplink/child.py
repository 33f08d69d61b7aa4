"""The gateway's end of the uplink: keeps one session with the parent, and does what the child's machine asks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.errors import (
    BadTokenError,
    GatewayError,
    MalformedFrameError,
    ParentUnreachableError,
)
from gateway.model.backoff import delays
from gateway.model.clock import Clock
from gateway.model.command import Command, CommandResult, Outcome
from gateway.model.device import DeviceUuid, Document
from gateway.model.log_ports import Inbox, Spool
from gateway.uplink.child_work import ChildWork
from gateway.uplink.parent_file import ParentAddress
from gateway.uplink.protocol import child_events as ev
from gateway.uplink.protocol import effects as fx
from gateway.uplink.protocol.child import ChildMachine
from gateway.uplink.protocol.frames import Hello, decode, encode
from gateway.uplink.protocol.registers import digest, registration
from gateway.uplink.wire import Dial, Wire

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """How patiently a parent is called."""

    first_delay_s: float = 0.5
    most_delay_s: float = 60.0
    keep_alive_s: int = 30
    stable_s: float = 30.0  # a link that held this long was good: the delay starts small again


@dataclass(frozen=True, slots=True)
class ChildPorts:
    """What the uplink works on, handed in by the composition root.

    `dispatch` lets a device act (its answer goes to the router from there); `route_result` answers a command
    that no device was asked: it routes the RESULT message, then calls `Inbox.finish`.
    """

    spool: Spool
    inbox: Inbox
    documents: Callable[[], Awaitable[Sequence[Document]]]
    dispatch: Callable[[Command], None]
    route_result: Callable[[Command, CommandResult], None]
    load_parent: Callable[[], ParentAddress | None]


DETAILS: Mapping[Outcome, str] = {
    Outcome.EXPIRED: "its deadline had passed, or the parent's clock is not known well enough",
    Outcome.UNKNOWN: "the gateway stopped before it knew the outcome",
}


class ChildUplink:
    """Service: parks with BadTokenError when the parent no longer accepts this node."""

    name = "uplink"
    required = False

    def __init__(
        self,
        node: DeviceUuid,
        ports: ChildPorts,
        clock: Clock,
        settings: UplinkSettings | None = None,
    ) -> None:
        self._node = node
        self._ports = ports
        self._clock = clock
        self._settings = settings or UplinkSettings()
        self._machine = ChildMachine(node, ports.spool.store_id, clock.boot_id)
        self._work = ChildWork(ports.spool, ports.inbox, self._documents, self._step)
        self._wire: Wire | None = None
        self._ended: asyncio.Future[str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._poke = asyncio.Event()
        self._is_cut = False
        self._are_strays_answered = False
        self._final: str = ""
        self._state: dict[str, Any] = {}
        self._reconnects = 0
        self._malformed = 0
        self._set_state("none")
        ports.spool.on_sealed(self._sealed)

    @property
    def is_online(self) -> bool:
        """Return whether blocks can be offered: give it to the spool, which else seals fewer, larger ones."""
        return self._machine.is_online

    def state(self) -> dict[str, Any]:
        """Return the state of the link for pages and status."""
        counters = dict(self._machine.stats())
        return {
            **self._state,
            **counters,
            "reconnects": self._reconnects,
            "malformed_frames": self._malformed,
            "refused_devices": dict(self._machine.refused_devices),
        }

    def cut(self, is_cut: bool) -> None:  # noqa: FBT001 - the page's switch has one position
        """Cut the line to the parent, or mend it."""
        self._is_cut = is_cut
        if is_cut and self._wire is not None:
            self._wire.close("cut by hand")
        self._poke.set()

    def poke(self) -> None:
        """Try now: the network came back, or the node has joined or left a parent."""
        self._poke.set()

    def reload(self) -> None:
        """End the session and read parent.json again."""
        if self._wire is not None:
            self._wire.close("the parent was changed")
        self._poke.set()

    def documents_changed(self) -> None:
        """Tell the parent of a device that was claimed, or whose document changed."""
        self._step(ev.DocumentsChanged())

    async def run(self) -> None:
        """Keep a session with the parent until cancelled."""
        if not self._are_strays_answered:
            for command in await self._ports.inbox.unfinished():
                self._answer(fx.Answer(command, Outcome.UNKNOWN))
            self._are_strays_answered = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work.run(), name="uplink-work")
                group.create_task(self._keep_session(), name="uplink-session")
        finally:
            if self._wire is not None:
                self._wire.close("the node stops")

    async def _keep_session(self) -> None:
        retry = self._delays()
        while True:
            parent = None if self._is_cut else self._ports.load_parent()
            if parent is None:
                self._set_state("cut" if self._is_cut else "none")
                await self._wait(None)
                continue
            began = asyncio.get_running_loop().time()
            await self._attempt(parent)
            if asyncio.get_running_loop().time() - began >= self._settings.stable_s:
                retry = self._delays()
            if not self._is_cut:
                await self._wait(next(retry))

    def _delays(self) -> Any:
        return delays(self._settings.first_delay_s, self._settings.most_delay_s)

    async def _wait(self, seconds: float | None) -> None:
        self._poke.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._poke.wait()
        except TimeoutError:
            return

    async def _attempt(self, parent: ParentAddress) -> None:
        if self._state["state"] != "offline":
            self._set_state("connecting", parent)
        try:
            reason = await self._session(parent)
        except BadTokenError as error:
            self._set_state("refused", parent, error.text, error.code)
            raise
        except ParentUnreachableError as error:
            self._set_state("offline", parent, error.text, error.code)
            return
        except GatewayError as error:
            if error.code != "GW-1607":
                raise
            # The certificate may be right again tomorrow; nothing was said to whoever answered.
            self._set_state("refused", parent, error.text, error.code)
            return
        if self._final:
            self._set_state("refused", parent, self._final, "GW-1611")
        else:
            self._set_state("cut" if self._is_cut else "offline", parent, reason, "GW-1608")

    async def _session(self, parent: ParentAddress) -> str:
        """Hold one session; returns why it ended."""
        self._final = ""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ended = ended
        client_id = f"gateway-{self._ports.spool.log}"
        dial = Dial(
            parent.host,
            parent.port,
            parent.fingerprint,
            self._node,
            client_id,
            parent.token,
            self._settings.keep_alive_s,
        )
        wire = Wire(dial, self._came, partial(_end, ended))
        await wire.connect()
        self._wire = wire
        try:
            if self._is_cut:
                return "cut by hand"
            self._step(ev.Linked(await self._hello()))
            return await ended
        finally:
            self._reconnects += 1
            self._wire = None
            self._ended = None
            wire.close("")
            self._step(ev.Lost())
            if self._timer is not None:
                self._timer.cancel()

    async def _hello(self) -> Hello:
        spool = self._ports.spool
        spool.seal()
        self._work.new_session()
        down = await self._ports.inbox.taken()
        devices = await self._documents()
        logs = await spool.logs()
        return Hello(
            self._node,
            spool.store_id,
            spool.log,
            self._clock.boot_id,
            self._clock.uptime_ms(),
            self._clock.wall_ms(),
            tuple(logs),
            dict(down),
            digest(devices),
        )

    async def _documents(self) -> Sequence[Any]:
        return [registration(document) for document in await self._ports.documents()]

    # ---- the machine ----

    def _came(self, payload: bytes) -> None:
        try:
            frame = decode(payload)
        except MalformedFrameError as error:
            self._malformed += 1
            log.warning("frame dropped", extra={"code": error.code, "why": error.text})
            return
        self._step(ev.Received(frame))

    def _sealed(self) -> None:
        if self._machine.is_online:
            self._step(ev.Sealed())

    def _step(self, event: ev.ChildEvent) -> None:
        was_online = self._machine.is_online
        now = fx.Now(self._clock.uptime_ms(), self._clock.wall_ms())
        for effect in self._machine.step(event, now):
            self._perform(effect)
        if self._machine.is_online and not was_online:
            self._set_state("online", self._ports.load_parent())

    def _perform(self, effect: fx.ChildEffect) -> None:
        match effect:
            case fx.Send(frame):
                if self._wire is not None:
                    self._wire.send(encode(frame))
            case fx.Timer(at_ms):
                self._set_timer(at_ms)
            case fx.Close(reason, is_final):
                self._final = reason if is_final else ""
                if self._ended is not None:
                    _end(self._ended, reason)
            case fx.Dispatch(command):
                self._ports.dispatch(command)
            case fx.Answer():
                self._answer(effect)
            case fx.KeepAnchor(anchor):
                self._ports.spool.anchor(anchor)
            case _:
                self._work.add(effect)

    def _answer(self, effect: fx.Answer) -> None:
        outcome = effect.outcome
        result = CommandResult(effect.command.id, outcome, DETAILS.get(outcome, ""))
        self._ports.route_result(effect.command, result)

    def _set_timer(self, at_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(at_ms - self._clock.uptime_ms(), 0) / 1000
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._step, ev.Tick())

    def _set_state(
        self,
        state: str,
        parent: ParentAddress | None = None,
        reason: str = "",
        code: str = "",
    ) -> None:
        text = parent.text if parent is not None else ""
        if self._state.get("state") != state or self._state.get("reason") != reason:
            log.info("uplink is %s", state, extra={"parent": text, "reason": reason, "code": code})
        is_same = self._state.get("state") == state
        self._state = {
            "state": state,
            "parent": text,
            "since_ms": self._state["since_ms"] if is_same else self._clock.wall_ms(),
            "reason": reason,
            "code": code,
        }


def _end(ended: asyncio.Future[str], reason: str) -> None:
    if not ended.done():
        ended.set_result(reason)
