"""Packets that wait for an answer of the mesh, by key; each for a bounded time."""

from collections.abc import Iterable

from gateway.broker.connection import Connection, Hold
from gateway.broker.limits import WAIT_S


class Waiting:
    """Which connections wait for which keys, and until when."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[Connection]] = {}
        self._since: dict[Connection, float] = {}
        self.expired = 0

    def __len__(self) -> int:
        return len(self._since)

    def park(self, connection: Connection, key: str, now: float) -> None:
        """Hold a connection until `key` is resumed; the time runs from its first wait for this packet."""
        self._since.setdefault(connection, now)
        waiters = self._by_key.setdefault(key, [])
        if connection not in waiters:
            waiters.append(connection)
        connection.hold(Hold.WAIT)

    def answered(self, connection: Connection) -> None:
        """Note that the packet got its answer."""
        if self._since:
            self._since.pop(connection, None)

    def resume(self, keys: Iterable[str]) -> None:
        """Let everybody who waits for these ask again."""
        found = [waiter for key in keys for waiter in self._by_key.pop(key, ())]
        for connection in found:
            connection.release(Hold.WAIT)

    def expire(self, now: float) -> None:
        """Have packets that waited too long asked a last time, when waiting counts as a refusal."""
        late = [connection for connection, since in self._since.items() if now - since >= WAIT_S]
        for connection in late:
            self.forget(connection)
            self.expired += 1
            connection.is_expired = True
            connection.release(Hold.WAIT)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that ended or waited too long."""
        if self._since.pop(connection, None) is None:
            return
        for key in [key for key, waiters in self._by_key.items() if connection in waiters]:
            self._by_key[key].remove(connection)
            if not self._by_key[key]:
                del self._by_key[key]
