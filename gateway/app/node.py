"""The composition root: opens what a node needs in order, wires it, runs its services, and closes in reverse."""

import asyncio
import contextlib
import logging
import time

from gateway import __version__
from gateway.app import identity
from gateway.app.lock import StateLock
from gateway.app.options import Options
from gateway.app.parts import Parts
from gateway.app.startup import load_configuration
from gateway.config.load import Loaded
from gateway.config.problems import Parked
from gateway.runtime.descriptors import raise_limit
from gateway.runtime.lag import LagMeter
from gateway.runtime.logs import Logs, open_logs
from gateway.runtime.loop import loop_factory
from gateway.runtime.signals import stop_on_signals
from gateway.runtime.supervisor import ParkedService, Supervisor, cause
from gateway.runtime.systemd import Notifier, Watchdog

__all__ = ["Options", "load_configuration", "main"]

log = logging.getLogger(__name__)

EXIT_OK = 0
MOST_LAG_S = 5.0  # a loop that stood still this long is not fed by the watchdog
MOST_START_S = (
    15.0  # then systemd is told without a listener: its own patience ends after 90 s, in a kill
)
MOST_COMMIT_S = 60.0  # an SD card that needs longer for one commit is broken


def main(loaded: Loaded, options: Options) -> int:
    """Run a node until a signal; returns the exit code."""
    settings = loaded.settings.log
    # A demo's terminal belongs to what a newcomer should do next.
    level = "warning" if options.is_demo and settings.level == "info" else settings.level
    logs = open_logs(level=level, levels=settings.levels, style=settings.format)
    raise_limit()
    try:
        make = loop_factory(loaded.settings.node.event_loop)
        with asyncio.Runner(loop_factory=make) as runner:
            return runner.run(_run(loaded, options, logs))
    finally:
        logs.close()


async def _run(loaded: Loaded, options: Options, logs: Logs) -> int:
    stop = asyncio.Event()
    logs.start_timer()
    notifier = Notifier()
    try:
        with stop_on_signals(stop):
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(StateLock(options.state_dir).release)
                parts = Parts(loaded, options, identity.load(options.state_dir), logs, stack)
                await parts.open()
                await _serve(parts, notifier, stop)
                notifier.stopping()
                await parts.close()
    except BaseExceptionGroup as group:
        raise cause(group) from group
    return EXIT_OK


async def _serve(parts: Parts, notifier: Notifier, stop: asyncio.Event) -> None:
    meter = LagMeter()
    meter.start()

    def healthy() -> bool:
        return meter.lag_s < MOST_LAG_S and not parts.is_commit_overdue(MOST_COMMIT_S)

    services = [*parts.services(), Ready(parts, notifier), Watchdog(notifier, healthy)]
    supervisor = Supervisor(
        services,
        on_park=lambda row: parts.park(_parked(row)),
        on_resume=parts.unpark,
    )
    parts.retry = supervisor.retry
    try:
        await supervisor.run(stop)
    finally:
        meter.stop()


def _parked(row: ParkedService) -> Parked:
    return Parked(row.what, row.code, row.text, row.hint)


class Ready:
    """Service: tells systemd and the console once the local broker accepts connections."""

    name = "ready"
    required = False

    def __init__(self, parts: Parts, notifier: Notifier) -> None:
        self._parts = parts
        self._notifier = notifier
        self._is_told = False

    async def run(self) -> None:
        """Wait for the broker, tell, and rest; a node whose MQTT ports are taken runs all the same."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(MOST_START_S):
                await self._parts.broker_ready()
        except TimeoutError:
            log.warning("no MQTT listener runs", extra={"next": "gateway status says why"})
            self._notifier.ready("no MQTT listener runs: `gateway status` says why")
            await self._parts.broker_ready()
        if not self._is_told:
            self._is_told = True
            where = ", ".join(self._parts.mqtt_addresses())
            self._notifier.ready(f"MQTT on {where}")
            log.info(
                "ready",
                extra={
                    "version": __version__,
                    "mqtt": where,
                    "took_s": round(time.monotonic() - started, 3),
                },
            )
            if self._parts.options.on_ready is not None:
                self._parts.options.on_ready()
        await asyncio.Event().wait()
