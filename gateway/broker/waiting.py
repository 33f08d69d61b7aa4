"""What waits for an answer of the mesh, by key, each for a bounded time: packets of clients, and wills."""

from collections.abc import Callable, Iterable

from gateway.broker.connection import Connection, Hold
from gateway.broker.limits import WAIT_S

Again = Callable[[bool], None]
"""Tries once more; True: for the last time, because the answer did not come."""


class Waiting:
    """Which connections wait for which keys, and until when."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[Connection]] = {}
        self._since: dict[Connection, float] = {}
        self._later: dict[str, list[tuple[Again, float]]] = {}
        self.expired = 0

    def __len__(self) -> int:
        return len(self._since) + sum(len(items) for items in self._later.values())

    def park(self, connection: Connection, key: str, now: float) -> None:
        """Hold a connection until `key` is resumed; the time runs from its first wait for this packet."""
        self._since.setdefault(connection, now)
        waiters = self._by_key.setdefault(key, [])
        if connection not in waiters:
            waiters.append(connection)
        connection.hold(Hold.WAIT)

    def later(self, key: str, again: Again, now: float) -> None:
        """Call `again` when `key` is resumed, or when it was not in time."""
        self._later.setdefault(key, []).append((again, now))

    def answered(self, connection: Connection) -> None:
        """Note that the packet got its answer."""
        if self._since:
            self._since.pop(connection, None)

    def resume(self, keys: Iterable[str]) -> None:
        """Let everybody who waits for these ask again."""
        keys = tuple(keys)
        found = [waiter for key in keys for waiter in self._by_key.pop(key, ())]
        later = [item for key in keys for item in self._later.pop(key, ())]
        for connection in found:
            connection.release(Hold.WAIT)
        for again, _ in later:
            again(False)

    def expire(self, now: float) -> None:
        """Have what waited too long asked a last time, when waiting counts as a refusal."""
        late = [connection for connection, since in self._since.items() if now - since >= WAIT_S]
        for connection in late:
            self.forget(connection)
            self.expired += 1
            connection.is_expired = True
            connection.release(Hold.WAIT)
        for key in list(self._later):
            waits = self._later.pop(key)
            overdue = [again for again, since in waits if now - since >= WAIT_S]
            self._later[key] = [item for item in waits if now - item[1] < WAIT_S]
            if not self._later[key]:
                del self._later[key]
            self.expired += len(overdue)
            for again in overdue:
                again(True)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that ended or waited too long."""
        if self._since.pop(connection, None) is None:
            return
        for key in [key for key, waiters in self._by_key.items() if connection in waiters]:
            self._by_key[key].remove(connection)
            if not self._by_key[key]:
                del self._by_key[key]
