"""What one client must still be sent: the packets in flight, those that wait, and their encoding.

Bytes go to `out`; whoever owns the connection empties it (once per loop tick) after `wake` was called.  A client
without a connection, or whose connection takes no more, is *behind*: QoS 0 is dropped, QoS 1 and 2 queued.
"""

from collections.abc import Callable, Iterator

from gateway.mqtt.backlog import Backlog, Host, has_begun, size_of
from gateway.mqtt.encoding import alias_of, encoded, head3
from gateway.mqtt.message import QOS_BITS, Message, Outgoing

SEND_WINDOW = 1000  # sent and not acknowledged; mosquitto's 20 halves the speed over a WAN
LARGE_BYTES, LARGE_WINDOW = 1024, 100  # above that size fewer: what is in flight is in memory
ALIASES_OUT = 32  # topics shortened per connection, first come: each costs memory on both sides
REPLAY_BYTES = 256 << 10  # retained messages sent per turn; the rest follows once these are written
REPLAY_FILTERS = 8  # filters looked up per turn: each may have to walk all retained topics
REPLAY_AHEAD = 50  # retained messages that wait for acknowledgements before the next is read

NOTHING_SENT: dict[int, Outgoing] = {}
"""What idle clients share instead of an empty dictionary each; never written to."""

Replay = Iterator[Outgoing]
"""Retained messages still to be sent, read from the store when their turn comes."""


class Outbound(Backlog):
    """The way to one client; `sid` > 0: the journal keeps what it gets at QoS 1 and 2."""

    __slots__ = (
        "_next_id",
        "aliases",
        "bytes_out",
        "inflight",
        "is_behind",
        "is_dirty",
        "most_aliases",
        "most_bytes",
        "out",
        "released",
        "replay_room",
        "replays",
        "sent",
        "version",
        "window",
        "write",
    )

    def __init__(self, host: Host) -> None:
        """Begin without a connection: behind until `attached`."""
        super().__init__(host)
        self.version = 4
        self.out: list[bytes] = []
        self.is_dirty = False
        self.is_behind = True
        self.write: Callable[[bytes], None] | None = None  # the connection's, while there is one
        self.window = SEND_WINDOW
        self.most_bytes = 0  # largest packet the client takes; 0: any
        self.most_aliases = 0
        self.aliases: dict[bytes, int] | None = None  # topic -> alias, towards the client
        self.inflight = NOTHING_SENT  # packet id -> sent, not acknowledged
        self.released: dict[int, int] | None = None  # QoS 2: PUBREC came -> group that holds this
        self.replays: dict[str, Replay] | None = None  # by filter
        self.replay_room = REPLAY_BYTES  # left of this turn's
        self.sent = 0
        self.bytes_out = 0
        self._next_id = 0

    @property
    def unfinished(self) -> int:
        """Return how many messages the client has not finished."""
        return len(self.inflight) + len(self.released) if self.released else len(self.inflight)

    @property
    def is_answering(self) -> bool:
        """Return whether an answer waits that retained messages have to follow."""
        return False

    # ---- towards the client ----

    def send0(self, packet: bytes) -> bool:
        """Send a whole QoS 0 packet; False when the client is behind and it was dropped."""
        if self.is_behind:
            return self.missed0()
        if not packet:
            self.dropped += 1
            return False
        self.out.append(packet)
        self.sent += 1
        if not self.is_dirty:
            self.host.wake(self)
        return True

    def missed0(self) -> bool:
        """Drop a QoS 0 message; it counts where the client is there and slow, not where it is away. Always False."""
        if self.write is not None:
            self.dropped += 1
        return False

    def send_plain(self, outgoing: Outgoing) -> bool:
        """Send a QoS 0 message in the client's own dialect."""
        if self.is_behind:
            return self.missed0()
        return self.send0(self.packet(outgoing, b"", is_dup=False))

    def send(self, outgoing: Outgoing) -> bool:
        """Send or queue a QoS 1 or 2 message that the journal need not hold; False when it was dropped."""
        if self.is_behind or self.unsent or self.unfinished >= self.window_for(outgoing[0]):
            return bool(self._queue(0, outgoing))
        if self.version < 5 and outgoing[1] == 1:
            self._transmit3(self.next_id(), outgoing)
        else:
            self._transmit(self.next_id(), outgoing, is_dup=False)
        return True

    def send1(self, outgoing: Outgoing, head: bytes, payload: bytes) -> None:
        """Send at QoS 1 to a client of MQTT 3 that no journal keeps; `head` is what precedes the packet id."""
        inflight = self.inflight
        if (
            self.is_behind
            or self.unsent
            or self.released
            or len(inflight) >= self.window
            or len(payload) > LARGE_BYTES
        ):
            self.send(outgoing)
            return
        if inflight is NOTHING_SENT:
            inflight = self.inflight = {}
        number = self.next_id()
        inflight[number] = outgoing
        self.out += (head, number.to_bytes(2, "big"), payload)
        self.sent += 1
        if not self.is_dirty:
            self.host.wake(self)

    def window_for(self, message: Message) -> int:
        """Return how many messages may be unfinished when this one is sent."""
        is_large = len(message.payload) > LARGE_BYTES
        return min(self.window, LARGE_WINDOW) if is_large else self.window

    def enqueue(self, outgoing: Outgoing, number: int) -> int:
        """Queue a message that group `number` of the journal will hold; return its packet id, 0 when dropped."""
        if self.host.journal.is_full:
            self.dropped += 1
            return 0
        return self._queue(number, outgoing)

    def _queue(self, number: int, outgoing: Outgoing) -> int:
        """Add to what waits; return the packet id, 0 when it was dropped: ids of what waits are never given again."""
        if not self._make_room(size_of(outgoing)):
            return 0
        packet_id = self.next_id()
        self._wait(packet_id, number, outgoing)
        return packet_id

    def answer(self, packet: bytes) -> None:
        """Send a protocol answer; dropped only where the client takes no packet of its size (MQTT-3.1.2-24)."""
        if 0 < self.most_bytes < len(packet):
            self.dropped += 1
            return
        self.out.append(packet)
        if not self.is_dirty:
            self.host.wake(self)

    def next_id(self) -> int:
        """Return a packet id that nothing unfinished uses."""
        number = self._next_id % 65535 + 1
        while (
            number in self.inflight
            or (self.released and number in self.released)
            or (self.again and number in self.again)
        ):
            number = number % 65535 + 1
        self._next_id = number
        return number

    def _transmit(self, packet_id: int, outgoing: Outgoing, *, is_dup: bool) -> None:
        number = packet_id.to_bytes(2, "big")
        packet = self.packet(outgoing, number, is_dup=is_dup)
        if packet:
            self.out.append(packet)
        else:  # larger than the client takes: as if it had been delivered (MQTT-3.1.2-25)
            self.dropped += 1
            if self.sid:
                self.host.journal.finish(self.sid, packet_id)
            return
        if self.inflight is NOTHING_SENT:
            self.inflight = {}
        self.inflight[packet_id] = outgoing
        self.sent += 1
        if not self.is_dirty:
            self.host.wake(self)

    def _transmit3(self, packet_id: int, outgoing: Outgoing) -> None:
        """Send at QoS 1 to a client of MQTT 3: the most frequent case, its head shared by all receivers."""
        message = outgoing[0]
        if self.inflight is NOTHING_SENT:
            self.inflight = {}
        self.inflight[packet_id] = outgoing
        self.out += (message.head or head3(message), packet_id.to_bytes(2, "big"), message.payload)
        self.sent += 1
        if not self.is_dirty:
            self.host.wake(self)

    def packet(self, outgoing: Outgoing, number: bytes, *, is_dup: bool) -> bytes:
        """Return the packet, b"" when the client does not take one of its size."""
        if self.version < 5:
            return encoded(outgoing, self.version, number, is_dup=is_dup)
        raw = outgoing[0].raw
        alias, is_known = 0, False
        if self.most_aliases:
            self.aliases = {} if self.aliases is None else self.aliases
            alias, is_known = alias_of(raw, self.aliases, self.most_aliases)
        packet = encoded(
            outgoing,
            5,
            number,
            now=self.host.now() if outgoing[0].expires_at is not None else 0.0,
            is_dup=is_dup,
            alias=alias,
            is_alias_known=is_known,
        )
        if 0 < self.most_bytes < len(packet):
            if alias and not is_known and self.aliases is not None:
                del self.aliases[raw]  # the client never hears of it
            return b""
        return packet

    # ---- answers of the client ----

    def acknowledged(self, packet_id: int) -> None:
        """Handle PUBACK; unknown ids are ignored, they may stem from an earlier connection."""
        outgoing = self.inflight.get(packet_id)
        if outgoing is not None and outgoing[1] & QOS_BITS == 1:
            self._finish(packet_id)

    def taken(self, packet_id: int, *, is_refused: bool = False) -> int | None:
        """Handle PUBREC; return the group to wait for before PUBREL, None when no PUBREL is due."""
        outgoing = self.inflight.get(packet_id)
        if outgoing is not None and outgoing[1] & QOS_BITS == 2:
            if is_refused:  # MQTT-4.3.3: an error ends the exchange
                self._finish(packet_id)
                return None
            del self.inflight[packet_id]
            if self.released is None:
                self.released = {}
            group = self.host.journal.release(self.sid, packet_id) if self.sid else 0
            self.released[packet_id] = group
            return group
        if is_refused:
            return None
        return self.released.get(packet_id, 0) if self.released else 0

    def is_released(self, packet_id: int) -> bool:
        """Return whether a PUBREL is owed or was sent for this id."""
        return bool(self.released) and packet_id in (self.released or ())

    def completed(self, packet_id: int) -> bool:
        """Handle PUBCOMP; False for an id that nothing is known of."""
        if not self.released or packet_id not in self.released:
            return False
        del self.released[packet_id]
        self._finished(packet_id)
        return True

    def _finish(self, packet_id: int) -> None:
        del self.inflight[packet_id]
        self._finished(packet_id)

    def _finished(self, packet_id: int) -> None:
        if self.sid:
            self.host.journal.finish(self.sid, packet_id)
        if self.unsent or self.replays:
            self.pump()

    def pump(self) -> None:
        """Send what waits (retained messages, then the queue) as far as window, disk and connection allow.

        What waits for the disk is `held`: its owner calls again after the next commit.
        """
        if self.replays and not self.is_answering:
            self._replay()
        unsent = self.unsent
        through = self.host.journal.through
        while unsent and not self.is_behind and self.unfinished < self.window_for(unsent[0][2][0]):
            if unsent[0][1] > through:
                break
            packet_id, number, outgoing = self._take_unsent()
            expires_at = outgoing[0].expires_at
            is_over = expires_at is not None and expires_at <= self.host.now()
            if is_over and not has_begun(number, outgoing):  # MQTT-4.3.3-7
                if self.sid:
                    self.host.journal.finish(self.sid, packet_id)
                continue
            if self.version < 5 and outgoing[1] == 1 and number >= 0:
                self._transmit3(packet_id, outgoing)
            else:
                self._transmit(packet_id, outgoing, is_dup=number < 0)
        if unsent and unsent[0][1] > through:
            self.host.held.add(self)

    def _replay(self) -> None:
        """Send retained messages, as many as one turn and the client's window allow."""
        replays = self.replays
        assert replays is not None
        while replays and not self.is_behind and self.queued < REPLAY_AHEAD:
            if self.replay_room <= 0:
                if not self.is_dirty:
                    self.host.wake(self)  # `flush` comes back here
                return
            pattern, replay = next(iter(replays.items()))
            outgoing = next(replay, None)
            if outgoing is None:
                del replays[pattern]
                self.replay_room -= REPLAY_BYTES // REPLAY_FILTERS
                continue
            self.replay_room -= size_of(outgoing) + 8
            self._send_retained(outgoing)

    def _send_retained(self, outgoing: Outgoing) -> None:
        if not outgoing[1] & QOS_BITS:
            self.send_plain(outgoing)
        elif self.sid:
            journal = self.host.journal
            if packet_id := self.enqueue(outgoing, journal.number):
                journal.enqueue(outgoing[0], ((self.sid, packet_id, *outgoing[1:]),))
        else:
            self.send(outgoing)

    def flush(self) -> None:
        """Write everything in `out` at once; called by the owner, once per loop tick."""
        self.is_dirty = False
        if self.write is None:
            return
        self.replay_room = REPLAY_BYTES
        out = self.out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            self.bytes_out += len(data)
            self.write(data)
        if self.replays:
            self.pump()
