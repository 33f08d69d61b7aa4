"""Sessions by (identity, client id): who is on, whose state is kept, who replaces whom."""

import logging
from collections import deque
from typing import TYPE_CHECKING

from gateway.broker.limits import (
    KEPT_PER_DEVICE,
    KEPT_PER_USER,
    SESSIONS_PER_DEVICE,
    TAKEOVERS_PER_MINUTE,
)
from gateway.mqtt.ports import PrincipalKind
from gateway.mqtt.session import MqttSession

if TYPE_CHECKING:
    from gateway.broker.connection import Connection
    from gateway.broker.server import Broker

log = logging.getLogger(__name__)

Key = tuple[str, str]


class Registry:
    """Live connections and kept sessions."""

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self.live: dict[Key, Connection] = {}
        self.kept: dict[Key, tuple[MqttSession, float]] = {}  # offline, until when
        self._kept_keys: dict[str, dict[Key, None]] = {}  # by identity, put aside longest ago first
        self._by_identity: dict[str, Key | set[Key]] = {}  # most have one: a set costs 200 bytes
        self._takeovers: dict[str, deque[float]] = {}
        self.cloned_reports = 0

    def has_room(self, key: Key, kind: PrincipalKind, *, keep: bool) -> bool:
        """Return whether this identity may open one more session (a take-over needs no room)."""
        if kind is PrincipalKind.USER:
            return True
        mine = self._keys_of(key[0])
        if key not in mine and len(mine) >= SESSIONS_PER_DEVICE:
            return False
        if not keep:
            return True
        kept_live = sum(1 for k in mine if k != key and _keeps(self.live[k]))
        return kept_live < KEPT_PER_DEVICE

    def add(self, key: Key, connection: "Connection") -> None:
        """Register a live connection; its predecessor is gone by now."""
        self.live[key] = connection
        mine = self._by_identity.get(key[0])
        if mine is None or mine == key:
            self._by_identity[key[0]] = key
        elif isinstance(mine, set):
            mine.add(key)
        else:
            self._by_identity[key[0]] = {mine, key}

    def remove(self, key: Key, connection: "Connection") -> None:
        """Unregister a connection unless another took its place."""
        if self.live.get(key) is not connection:
            return
        del self.live[key]
        mine = self._by_identity[key[0]]
        if isinstance(mine, set):
            mine.discard(key)
        if mine == key or not mine:
            del self._by_identity[key[0]]

    def _keys_of(self, identity: str) -> set[Key]:
        mine = self._by_identity.get(identity)
        if mine is None:
            return set()
        return mine if isinstance(mine, set) else {mine}

    def of(self, identity: str) -> "list[Connection]":
        """Return the live connections of an identity."""
        return [self.live[key] for key in self._keys_of(identity)]

    def session(self, key: Key) -> MqttSession | None:
        """Return the session of a client, connected or put aside."""
        if (connection := self.live.get(key)) is not None:
            return connection.session
        kept = self.kept.get(key)
        return kept[0] if kept is not None else None

    def taken_over(self, identity: str, now: float) -> None:
        """Count take-overs of an identity; many in a minute are two machines with one identity."""
        recent = self._takeovers.setdefault(identity, deque(maxlen=TAKEOVERS_PER_MINUTE + 1))
        recent.append(now)
        if len(recent) > TAKEOVERS_PER_MINUTE and now - recent[0] < 60:
            recent.clear()
            self.cloned_reports += 1
            log.warning(
                "an identity is used by two machines, which keep replacing each other",
                extra={"identity": identity, "code": "GW-1105"},
            )

    # ---- kept sessions ----

    def keep(self, key: Key, session: MqttSession, kind: PrincipalKind, until: float) -> None:
        """Put a session aside until a time of the broker's clock; a device's oldest goes when it has too many."""
        self.drop_kept(key)
        self.kept[key] = (session, until)
        mine = self._kept_keys.setdefault(key[0], {})
        mine[key] = None
        most = KEPT_PER_USER if kind is PrincipalKind.USER else KEPT_PER_DEVICE
        if len(mine) > most:
            self.drop_kept(next(iter(mine)))  # dictionaries keep their order: put aside longest ago

    def take_kept(self, key: Key) -> MqttSession | None:
        """Return a kept session to its owner."""
        found = self._pop_kept(key)
        return found[0] if found else None

    def _pop_kept(self, key: Key) -> tuple[MqttSession, float] | None:
        found = self.kept.pop(key, None)
        if found is not None:
            mine = self._kept_keys[key[0]]
            del mine[key]
            if not mine:
                del self._kept_keys[key[0]]
        return found

    def drop_kept(self, key: Key) -> None:
        """End a kept session."""
        found = self._pop_kept(key)
        if found is not None:
            self._broker.sessions.drop(found[0])
            self._broker.wills.session_over(key)

    def expire(self, now: float) -> int:
        """End kept sessions whose clients did not come back, and forget old take-overs; return how many ended."""
        over = [key for key, (_, until) in self.kept.items() if until <= now]
        for key in over:
            self.drop_kept(key)
        for identity in [
            i for i, times in self._takeovers.items() if not times or now - times[-1] > 60
        ]:
            del self._takeovers[identity]
        return len(over)


def _keeps(connection: "Connection") -> bool:
    return connection.session is not None and connection.session.is_kept
