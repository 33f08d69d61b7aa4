"""Identities that an operator keeps away for a while: in memory, over at the next start."""

import time
from collections.abc import Callable

from gateway.mqtt.ports import Authenticator, Credentials, Principal, Rejected

# "Unavailable" and not "not authorised": a client's tries must not count as guesses of its whole address.
BANNED = Rejected(3, "kept away by an operator for a while")


class Bans:
    """Matches `mqtt.ports.Authenticator`, before another one."""

    def __init__(
        self, authenticate: Authenticator, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Judge by `authenticate`, and turn away whom it lets in while banned."""
        self._authenticate = authenticate
        self._now = now
        self._until: dict[str, float] = {}

    def __call__(
        self, credentials: Credentials, done: Callable[[Principal | Rejected], None]
    ) -> None:
        """Judge a login; who is banned learns so only with a right password."""
        # Judged when the answer comes: a ban may come while a password is checked.
        self._authenticate(credentials, lambda answer: done(self._judged(answer)))

    def ban(self, identity: str, seconds: float) -> None:
        """Keep an identity away; a shorter time replaces a longer one."""
        now = self._now()
        self._until = {name: until for name, until in self._until.items() if until > now}
        self._until[identity] = now + seconds

    def _judged(self, answer: Principal | Rejected) -> Principal | Rejected:
        if isinstance(answer, Rejected):
            return answer
        until = self._until.get(answer.name)
        if until is None:
            return answer
        if until > self._now():
            return BANNED
        del self._until[answer.name]
        return answer
