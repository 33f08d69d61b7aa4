"""How fast one client may send: a bucket for packets and one for bytes; too fast means that its reader rests.

TCP then slows the client; nothing is dropped (topic rules, section 3: only for a shared resource or its own doing).
"""

import asyncio
from typing import TYPE_CHECKING

from gateway.broker.pausing import Hold

if TYPE_CHECKING:
    from gateway.broker.connection import Connection

BURST_S = 2.0  # what may come at once, in seconds of the average


class Meter:
    """The two buckets of one connection."""

    __slots__ = ("_bytes", "_bytes_per_s", "_packets", "_packets_per_s", "_since")

    def __init__(self, packets_per_s: float, bytes_per_s: float, now: float) -> None:
        """Begin full; a rate of 0 is no limit."""
        self._packets_per_s = packets_per_s
        self._bytes_per_s = bytes_per_s
        self._packets = packets_per_s * BURST_S
        self._bytes = bytes_per_s * BURST_S
        self._since = now

    def spend(self, connection: "Connection", packets: int, size: int) -> None:
        """Count what came; rest until the emptier bucket holds something again."""
        rest_s = self.wait_s(packets, size, connection.broker.now())
        if rest_s > 0.0:
            connection.rest(Hold.RATE)
            asyncio.get_running_loop().call_later(rest_s, connection.release, Hold.RATE)

    def wait_s(self, packets: int, size: int, now: float) -> float:
        """Count what came, return how long to wait in seconds."""
        passed, self._since = now - self._since, now
        waits = 0.0
        if self._packets_per_s:
            full = self._packets_per_s * BURST_S
            self._packets = min(full, self._packets + passed * self._packets_per_s) - packets
            waits = -self._packets / self._packets_per_s
        if self._bytes_per_s:
            full = self._bytes_per_s * BURST_S
            self._bytes = min(full, self._bytes + passed * self._bytes_per_s) - size
            waits = max(waits, -self._bytes / self._bytes_per_s)
        return waits
