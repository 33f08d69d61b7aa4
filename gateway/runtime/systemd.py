"""Tell systemd how we are (sd_notify(3)) over its datagram socket; without systemd, every call does nothing."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Sends states to NOTIFY_SOCKET, a path or (with `@`) an abstract name."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._socket = (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if name else None
        )
        if self._socket is not None:
            self._socket.setblocking(False)
        self.watchdog_s = _watchdog_s(environ)

    def ready(self, status: str = "") -> None:
        """Say that start-up is complete."""
        self._send("READY=1" + (f"\nSTATUS={status}" if status else ""))

    def status(self, text: str) -> None:
        """Say in one line what we do; `systemctl status` shows it."""
        self._send("STATUS=" + text.replace("\n", " "))

    def watchdog(self) -> None:
        """Say that we are alive."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that we are about to end."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, state: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(state.encode(), self._address)
        except OSError as error:
            # systemd being away (or busy) must not hurt the node; it will ask through the watchdog.
            log.debug("systemd was not told", extra={"error": str(error)})


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Return how often systemd wants to hear from this process, or None."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(usec) / 1_000_000


class Watchdog:
    """Service: feeds systemd's watchdog at half its time, while `healthy()` holds."""

    name = "watchdog"
    required = False

    def __init__(self, notifier: Notifier, healthy: Callable[[], bool]) -> None:
        self._notifier = notifier
        self._healthy = healthy

    async def run(self) -> None:
        """Feed until cancelled; an unhealthy node is not fed, so that systemd restarts it."""
        if self._notifier.watchdog_s is None:
            await asyncio.Event().wait()
            return
        while True:
            if self._healthy():
                self._notifier.watchdog()
            else:
                log.error("unhealthy: the watchdog is not fed")
            await asyncio.sleep(self._notifier.watchdog_s / 2)
