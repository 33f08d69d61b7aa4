"""TLS handshakes that fail are said once a minute a listener, with OpenSSL's reason: asyncio itself keeps silent."""

import logging
import ssl
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

QUIET_S = 60.0


class FailedHandshakes:
    """Counts them; `watch` a listener's context."""

    def __init__(self, listener: str, now: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self._listener = listener
        self._now = now
        self._quiet_until = 0.0

    def watch(self, context: ssl.SSLContext) -> None:
        """Let sessions of this context tell why they failed (documented as `SSLContext.sslobject_class`)."""
        noted = self._noted

        class Session(ssl.SSLObject):
            """A session of this listener."""

            def do_handshake(self) -> None:
                """Shake hands, as far as the bytes at hand go."""
                try:
                    super().do_handshake()
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    raise
                except ssl.SSLError as error:
                    noted(error)
                    raise

        context.sslobject_class = Session

    def _noted(self, error: ssl.SSLError) -> None:
        self.total += 1
        now = self._now()
        if now < self._quiet_until:
            return
        self._quiet_until = now + QUIET_S
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        log.warning(
            "TLS handshake failed",
            extra={
                "listener": self._listener,
                "reason": reason.lower().replace("_", " "),
                "failed": self.total,
                "code": "GW-1127",
            },
        )
