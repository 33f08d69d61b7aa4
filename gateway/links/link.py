"""What every link can do, and the one way in which links tell how they are."""

import logging
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Protocol

from gateway.driver.contract import Advert
from gateway.errors import GatewayError
from gateway.model.clock import Clock, Stamp

logger = logging.getLogger(__name__)


class LinkState(StrEnum):
    """Where a link stands; everything but OPEN comes with a reason and a hint."""

    OPEN = "open"
    WAITING = "waiting"  # the hardware is there but refuses; tried again
    MISSING = "missing"  # the hardware is not there
    HELD = "held"  # another program has it
    PARKED = "parked"  # a person must change a setting


class Link(Protocol):
    """A port, a radio or a capture; `origin` is its physical identity and the stem of hardware ids."""

    name: str
    origin: str

    def chunks(self) -> AsyncIterator[tuple[bytes | Advert, Stamp]]:
        """Yield what is heard, for ever; one consumer; raises ConfigError only."""
        ...

    async def write(self, data: bytes) -> None:
        """Write all of `data`; raises TransientError when the link is not open or does not take it in time,
        UnsupportedCommandError when it can only listen.
        """
        ...

    def state(self) -> dict[str, object]:
        """Return state, reason, hint, since (uptime ms) and counters, ready for JSON."""
        ...


class Health:
    """State of one link with its counters; a change of state is logged once."""

    __slots__ = ("_clock", "_counters", "_link", "code", "hint", "reason", "since", "state")

    def __init__(self, link: str, clock: Clock, counters: tuple[str, ...]) -> None:
        self._link = link
        self._clock = clock
        self._counters = dict.fromkeys(counters, 0)
        self.state = LinkState.WAITING
        self.reason = "not started"
        self.hint = ""
        self.code = ""  # GW-nnnn for `gateway explain`
        self.since = clock.uptime_ms()

    def count(self, name: str, by: int = 1) -> None:
        """Raise one counter."""
        self._counters[name] += by

    def fail(self, state: LinkState, error: GatewayError) -> None:
        """Enter a state other than OPEN, for a reason that has a code."""
        self.become(state, error.text, error.hint, error.code)

    def become(self, state: LinkState, reason: str = "", hint: str = "", code: str = "") -> None:
        """Enter a state; the same state with the same reason again changes nothing."""
        if state is self.state and reason == self.reason:
            return
        self.since = self._clock.uptime_ms()
        self.state, self.reason, self.hint, self.code = state, reason, hint, code
        fields = {"link": self._link, "state": str(state), "reason": reason, "hint": hint}
        if state is LinkState.OPEN:
            logger.info("link open", extra=fields)
        else:
            logger.warning("link not open", extra=fields)

    def as_dict(self) -> dict[str, object]:
        """Return what `gateway status` and the page show."""
        return {
            "state": str(self.state),
            "reason": self.reason,
            "hint": self.hint,
            "code": self.code,
            "since": self.since,
            "counters": dict(self._counters),
        }
