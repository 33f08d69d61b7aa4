"""Watching the packets of some clients live; nobody pays for it while nobody watches.

A connection that is watched has other handlers (each tells, then does what it always does), a `write` that tells,
and its fast path off (`is_traced`).  Every other connection has one attribute that is False.
"""

import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from gateway.broker.packet_text import Line, Packet, Reading, line_of
from gateway.errors import MalformedFrameError
from gateway.model.device import is_uuid
from gateway.mqtt.filters import matches, overlaps
from gateway.mqtt.packets import parse_connect, split

if TYPE_CHECKING:
    from gateway.broker.connection import Connection, Handler

FIRST_CONNECT = 0x10
MOST_PACKET = 268_435_455  # the largest that MQTT has: what we write is whole
RECEIVED, SENT, EVENT = "received", "sent", "event"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a watcher wants to see; None is anybody, and any topic."""

    identity: str | None = None
    client_id: str | None = None
    pattern: str | None = None
    with_payload: bool = False

    def is_of(self, identity: str, client_id: str) -> bool:
        """Return whether a client is one of those watched."""
        return self.identity in (None, identity) and self.client_id in (None, client_id)

    def is_about(self, topics: tuple[str, ...]) -> bool:
        """Return whether a packet that names these topics or filters is to be shown."""
        if self.pattern is None:
            return True
        pattern = self.pattern
        return any(matches(pattern, topic) or overlaps(pattern, topic) for topic in topics)


@dataclass(frozen=True, slots=True)
class Traced:
    """One line: what a client sent or was sent, or what became of it."""

    at_ms: int
    direction: str
    identity: str
    client_id: str
    peer: str
    text: str


class Watcher(Protocol):
    """Who is told; bounded, and never in the way of the broker."""

    wanted: Wanted

    def has_room(self) -> bool:
        """Return whether one more line is taken; a False counts a lost line."""
        ...

    def tell(self, line: Traced) -> None:
        """Take a line."""
        ...


@dataclass(slots=True)
class Followed:
    """One connection that is watched; before it has logged in it is who it says it is."""

    identity: str
    client_id: str
    inward: Reading
    outward: Reading
    is_again: bool = False  # the packet at hand was told already, and waits for the mesh
    plain_write: Callable[[bytes], None] | None = None
    told_write: Callable[[bytes], None] | None = None


class Tracing:
    """The watchers of one broker."""

    def __init__(self, handlers: "Mapping[int, Handler]") -> None:
        """Prepare; `handlers` are those of connections that are not watched."""
        self._plain = handlers
        self._telling = {first: self._wrapped(handler) for first, handler in handlers.items()}
        self._watchers: list[Watcher] = []
        # Weakly: a socket whose TLS or WebSocket never came about has no end that anybody hears of.
        self._followed: weakref.WeakKeyDictionary[Connection, Followed] = (
            weakref.WeakKeyDictionary()
        )

    def __len__(self) -> int:
        return len(self._watchers)

    def start(self, watcher: Watcher, connections: "Iterable[Connection]") -> None:
        """Tell a watcher from now on; `connections` are those that are there already."""
        self._watchers.append(watcher)
        for connection in connections:
            if connection.session is None:
                self._follow(connection)
            elif watcher.wanted.is_of(connection.principal.name, connection.client_id):
                self._follow(connection)
                self._listen(connection)

    def stop(self, watcher: Watcher) -> None:
        """Tell it no more; connections that nobody else watches go back to their fast path."""
        self._watchers.remove(watcher)
        for connection, followed in list(self._followed.items()):
            if not self._is_watched(followed):
                self._unfollow(connection)

    # ---- events of connections ----

    def accepted(self, connection: "Connection") -> None:
        """Watch a new connection until it is known whether anybody wants it."""
        if self._watchers:
            self._follow(connection)

    def opened(self, connection: "Connection") -> None:
        """Handle that a watched connection has logged in."""
        followed = self._followed.get(connection)
        if followed is None:
            return
        followed.identity, followed.client_id = connection.principal.name, connection.client_id
        if not self._is_watched(followed):
            self._unfollow(connection)
            return
        self._listen(connection)
        self._say(connection, followed, EVENT, Line(f"logged in by listener {connection.listener}"))

    def ended(self, connection: "Connection", reason: str) -> None:
        """Handle the end of a watched connection."""
        followed = self._followed.get(connection)
        if followed is not None:
            self._say(connection, followed, EVENT, Line(f"closed: {reason}"))
            self._unfollow(connection)

    # ---- following ----

    def _follow(self, connection: "Connection") -> None:
        if connection in self._followed:
            return
        principal = connection.principal
        inward = Reading(connection.version, principal.kind)
        for alias, raw in (connection.aliases or {}).items():
            inward.aliases[alias] = raw.decode("utf-8", "replace")
        outward = Reading(connection.version, principal.kind)
        followed = Followed(principal.name, connection.client_id, inward, outward)
        self._followed[connection] = followed
        connection.handlers = self._telling
        connection.is_traced = True

    def _listen(self, connection: "Connection") -> None:
        """Hear what a connection with a session is sent."""
        followed, session = self._followed[connection], connection.session
        if session is None or session.write is None or followed.told_write is not None:
            return
        write = session.write
        for reading in (followed.inward, followed.outward):
            reading.version, reading.kind = connection.version, connection.principal.kind
        for raw, alias in (session.aliases or {}).items():
            followed.outward.aliases[alias] = raw.decode("utf-8", "replace")

        def told_write(data: bytes) -> None:
            self._sent(connection, followed, data)
            write(data)

        followed.plain_write, followed.told_write = write, told_write
        session.write = told_write

    def _unfollow(self, connection: "Connection") -> None:
        followed = self._followed.pop(connection)
        connection.handlers = self._plain
        connection.is_traced = False
        session = connection.session
        if session is not None and session.write is followed.told_write is not None:
            session.write = followed.plain_write

    def _is_watched(self, followed: Followed) -> bool:
        return any(w.wanted.is_of(followed.identity, followed.client_id) for w in self._watchers)

    # ---- telling ----

    def _wrapped(self, handler: "Handler") -> "Handler":
        def telling(connection: "Connection", data: bytes, first: int, body: int, end: int) -> bool:
            followed = self._followed.get(connection)
            if followed is None:
                return handler(connection, data, first, body, end)
            if not followed.is_again:
                self._received(connection, followed, Packet(data, first, body, end))
            is_done = handler(connection, data, first, body, end)
            followed.is_again = not is_done
            return is_done

        return telling

    def _received(self, connection: "Connection", followed: Followed, packet: Packet) -> None:
        if packet.first == FIRST_CONNECT:
            _learn_claim(followed, packet)
        self._tell(connection, followed, RECEIVED, packet, followed.inward)

    def _sent(self, connection: "Connection", followed: Followed, data: bytes) -> None:
        frames, _, _ = split(data, MOST_PACKET)
        for first, _, body, end in frames:
            self._tell(connection, followed, SENT, Packet(data, first, body, end), followed.outward)

    def _tell(
        self,
        connection: "Connection",
        followed: Followed,
        direction: str,
        packet: Packet,
        reading: Reading,
    ) -> None:
        """Tell of a packet; it is not even read where nobody has room for it."""
        said: dict[bool, Line | None] = {}
        for watcher in self._watchers:
            wanted = watcher.wanted
            if not wanted.is_of(followed.identity, followed.client_id) or not watcher.has_room():
                continue
            if wanted.with_payload not in said:
                line = line_of(packet, reading, with_payload=wanted.with_payload)
                said[wanted.with_payload] = line
            found = said[wanted.with_payload]
            if found is not None and wanted.is_about(found.topics):
                watcher.tell(_traced(connection, followed, direction, found.text))
        if not said:
            reading.aliases.clear()  # not read, so what they stand for now is not known

    def _say(
        self, connection: "Connection", followed: Followed, direction: str, line: Line
    ) -> None:
        for watcher in self._watchers:
            wanted = watcher.wanted
            is_wanted = wanted.is_of(followed.identity, followed.client_id)
            if is_wanted and wanted.is_about(line.topics) and watcher.has_room():
                watcher.tell(_traced(connection, followed, direction, line.text))


def _traced(connection: "Connection", followed: Followed, direction: str, text: str) -> Traced:
    return Traced(
        time.time_ns() // 1_000_000,
        direction,
        followed.identity,
        followed.client_id,
        connection.peer,
        text,
    )


def _learn_claim(followed: Followed, packet: Packet) -> None:
    """Take who a CONNECT says it is for who it is, until it has logged in."""
    try:
        asked = parse_connect(packet.data, packet.body, packet.end)
    except MalformedFrameError:
        return
    if not isinstance(asked, int):
        name = asked.username or ""
        followed.identity = name.lower() if is_uuid(name) else name
        followed.client_id = asked.client_id
