"""QoS 2 from one client to another over a slow disk, take-overs and crashes: every message once, and in order."""

import random

import pytest

from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import CONNACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Prop
from tests.fakes.raw_pipe import Pipe
from tests.fuzz.late_journal import LateBroker
from tests.fuzz.seeds import SECONDS, seeded

pytestmark = pytest.mark.slow

ROUND_S = 2.5 * SECONDS
STEPS = 150
MOST_IDS = 4  # so few that each is used again at once


class Client:
    """A client with a disk of its own, that does at QoS 2 what the standard asks of it."""

    def __init__(self, bench: LateBroker, name: str, rng: random.Random) -> None:
        self.bench = bench
        self.name = name
        self.rng = rng
        self.pipe: Pipe | None = None
        self.is_up = False  # CONNACK has come
        self.is_known = False  # to the broker's disk
        self.unfinished: dict[int, bytes | None] = {}  # own messages; None: PUBREC has come
        self.taken: set[int] = set()  # packet ids of others' messages, until PUBREL
        self.got: list[bytes] = []
        self.due: list[bytes] = []  # answers
        self.number = 0

    @property
    def is_on(self) -> bool:
        """Return whether there is a connection."""
        return self.pipe is not None and self.pipe.is_open

    def come(self, version: int) -> None:
        """Connect; an earlier connection may still be open, which ends it."""
        if self.rng.random() < 0.5:
            self.go()
        told = {}
        if version == 5:
            told = {
                Prop.SESSION_EXPIRY: 9999,
                Prop.RECEIVE_MAXIMUM: self.rng.choice((1, 3, 50)),
            }
        self.is_up, self.due = False, []
        self.pipe = self.bench.pipe(version)
        self.say(raw.connect(self.name, version=version, clean=False, props=told))

    def go(self) -> None:
        """Vanish, whatever is unread."""
        if self.pipe is not None:
            self.bench.within(self.pipe.cut)
        self.pipe = None

    def say(self, *packets: bytes) -> None:
        """Send, where there is a connection."""
        if self.pipe is not None and self.pipe.is_open:
            self.bench.send(self.pipe, *packets)

    def publish(self, payload: bytes) -> bool:
        """Publish, now or when there is a connection; False while all packet ids are in use."""
        self.number = self.number % MOST_IDS + 1
        if self.number in self.unfinished:
            return False
        self.unfinished[self.number] = payload
        if self.is_up and self.pipe is not None:
            self.say(raw.publish("t", payload, 2, self.number, version=self.pipe.version))
        return True

    def look(self, *, patiently: bool = False) -> None:
        """Read what has come; give some of the answers, in order."""
        if self.pipe is None:
            return
        for packet in self.pipe.packets():
            self.take(packet.kind, packet.number, packet.payload, packet.is_present)
        given = len(self.due) if patiently or self.rng.random() < 0.6 else 1
        now, self.due = self.due[:given], self.due[given:]
        for answer in now:
            self.say(*[answer] * (1 if self.rng.random() < 0.9 else 2))  # impatient ones repeat it

    def take(self, kind: int, number: int, payload: bytes, is_present: bool) -> None:
        """Handle a packet."""
        if kind == CONNACK:
            assert is_present == self.is_known
            self.is_known = self.is_up = True
            self.repeat()
        elif kind == PUBLISH:
            if number not in self.taken:
                self.taken.add(number)
                self.got.append(payload)
            self.due.append(raw.ack(PUBREC, number))
        elif kind == PUBREC:
            if number in self.unfinished:
                self.unfinished[number] = None
            self.due.append(raw.ack(PUBREL, number))
        elif kind == PUBREL:
            self.taken.discard(number)
            self.due.append(raw.ack(PUBCOMP, number))
        elif kind == PUBCOMP:
            if number in self.unfinished and self.unfinished[number] is None:
                del self.unfinished[number]
        else:
            assert kind == SUBACK

    def repeat(self) -> None:
        """Send again what is unfinished (MQTT-4.4.0-1)."""
        assert self.pipe is not None
        version = self.pipe.version
        for number, payload in self.unfinished.items():
            if payload is None:
                self.say(raw.ack(PUBREL, number))
            else:
                self.say(raw.publish("t", payload, 2, number, version=version, dup=True))


def begun(bench: LateBroker, name: str, rng: random.Random) -> Client:
    """Return a client whose session is on disk."""
    client = Client(bench, name, rng)
    client.come(4)
    bench.commit()
    client.look()
    return client


def crash(bench: LateBroker, *clients: Client) -> None:
    """End the broker's process with all connections, and start another."""
    bench.crash()
    for client in clients:
        client.pipe, client.is_up, client.due = None, False, []


def step(
    bench: LateBroker, rng: random.Random, writer: Client, reader: Client, versions: tuple[int, ...]
) -> None:
    """Do one of the things that happen."""
    chance = rng.random()
    if chance < 0.1:
        writer.come(rng.choice(versions))
    elif chance < 0.2:
        reader.come(rng.choice(versions))
    elif chance < 0.25:
        rng.choice((writer, reader)).go()
    elif chance < 0.45:
        bench.commit()
    elif chance < 0.53:
        crash(bench, writer, reader)
    for client in (writer, reader):
        if rng.random() < 0.6:
            client.look()


def settle(bench: LateBroker, *clients: Client) -> None:
    """Let everybody come, answer, and the disk keep up, until all is quiet."""
    for _ in range(60):
        for client in clients:
            if not client.is_on:
                client.come(4)
            client.look(patiently=True)
        bench.commit()


@pytest.mark.parametrize("versions", [(4,), (4, 5)], ids=["3.1.1", "3.1.1 and 5.0"])
def test_no_qos_2_message_is_lost_or_doubled(versions: tuple[int, ...]):
    for rng in seeded(f"QoS 2 over crashes, {versions}", ROUND_S):
        with LateBroker() as bench:
            writer, reader = begun(bench, "writer", rng), begun(bench, "reader", rng)
            reader.say(raw.subscribe(1, ("t", 2)))
            bench.commit()
            made = 0
            for _ in range(STEPS):
                if rng.random() < 0.4:
                    made += writer.publish(b"%d" % made)
                step(bench, rng, writer, reader, versions)
            settle(bench, writer, reader)
            assert reader.got == [b"%d" % number for number in range(made)]
            assert not writer.unfinished
            assert not reader.taken
            rows = bench.journal.rows.values()
            assert not any(row.deliveries or row.received for row in rows)
