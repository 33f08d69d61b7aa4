"""Small services that the node runs beside the large ones: clock anchors, the health topic, plugged ports."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from gateway.app.live import Live
from gateway.model.wire import compact
from gateway.runtime.clock import AnchorWatch

HEALTH_TOPIC = "gateway/health"
HEALTH_EVERY_S = 60.0
WATCHED_S = 0.5
UNWATCHED_S = 2.0
LOOK_EVERY_S = 5.0  # a step of the clock is noticed within this time


class ClockWatch:
    """Service: looks whether the wall clock was stepped."""

    name = "clock"
    required = False

    def __init__(self, watch: AnchorWatch) -> None:
        self._watch = watch

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._watch.look()
            await asyncio.sleep(LOOK_EVERY_S)


class HealthTopic:
    """Service: says once a minute, retained, how the node is."""

    name = "health"
    required = False

    def __init__(
        self, figures: Callable[[], dict[str, Any]], publish: Callable[[str, bytes, bool], None]
    ) -> None:
        self._figures = figures
        self._publish = publish

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            load = os.getloadavg()[0]
            self._publish(HEALTH_TOPIC, compact({**self._figures(), "load": round(load, 2)}), True)
            await asyncio.sleep(HEALTH_EVERY_S)


class PortNews:
    """Service: tells of serial ports that are plugged in or pulled out."""

    name = "ports"
    required = False

    def __init__(self, tell: Callable[[dict[str, str]], None]) -> None:
        self._tell = tell

    async def run(self) -> None:
        """Watch until cancelled."""
        from gateway.links.port_watch import watch  # noqa: PLC0415 - imports pyserial

        async for event in watch():
            self._tell(
                {
                    "kind": event.kind,
                    "device": event.device,
                    "stable_name": event.stable_name,
                    "text": event.sentence,
                    "suggestion": event.suggestion,
                }
            )


class UplinkNews:
    """Service: tells viewers how the line and the log are, whenever that changed."""

    name = "uplink-news"
    required = False

    def __init__(self, live: Live, state: Callable[[], dict[str, Any]]) -> None:
        self._live = live
        self._state = state

    async def run(self) -> None:
        """Look twice a second while somebody watches, else every two seconds."""
        told: dict[str, Any] = {}
        while True:
            await asyncio.sleep(WATCHED_S if self._live.viewers else UNWATCHED_S)
            if self._live.viewers:
                state = self._state()
                seen = {key: value for key, value in state.items() if key != "oldest_s"}
                if seen != told:
                    told = seen
                    self._live.tell("uplink", state)
