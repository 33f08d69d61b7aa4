"""Any bytes, cut anywhere: no exception, bounded memory, neighbours undisturbed, and never a packet that is wrong."""

import gc
import random
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.broker.limits import Limits
from tests.fakes import raw_packets as raw
from tests.fakes.raw_packets import CONNACK, PUBACK, PUBLISH, SUBACK
from tests.fakes.raw_pipe import Pipe, PipeBroker
from tests.fuzz import mutations
from tests.fuzz.seeds import seeded

pytestmark = pytest.mark.slow

LIMITS = Limits(
    connections=50,
    packet_bytes=16 << 10,
    queued=50,
    queued_bytes=64 << 10,
    all_queued_bytes=1 << 20,
    session_expiry_s=60,
)
MOST_GROWTH_BYTES = 48 << 20
"""What the process may grow by: far more than the bounds above add up to, far less than what is sent."""


class Neighbours:
    """Two well-behaved clients, one of 3.1.1 and one of 5, that go on talking whatever others do."""

    def __init__(self, bench: PipeBroker) -> None:
        self.bench = bench
        self.number = 0
        self.pipes = (bench.pipe(4), bench.pipe(5))
        for index, pipe in enumerate(self.pipes):
            told = raw.connect(f"good-{index}", version=pipe.version)
            bench.send(pipe, told, raw.subscribe(1, f"quiet/{index}", qos=1, version=pipe.version))
            assert [packet.kind for packet in pipe.packets()] == [CONNACK, SUBACK]

    def talk(self) -> None:
        """Send a message each way, and see it come alone."""
        self.number = self.number % 65535 + 1
        payload = b"%d" % self.number
        for index, pipe in enumerate(self.pipes):
            other = self.pipes[1 - index]
            told = raw.publish(f"quiet/{1 - index}", payload, 1, self.number, version=pipe.version)
            self.bench.send(pipe, told)
            (answer,) = pipe.packets()
            assert (answer.kind, answer.number) == (PUBACK, self.number)
            (found,) = other.packets()
            assert (found.kind, found.payload) == (PUBLISH, payload)
            self.bench.send(other, raw.ack(PUBACK, found.number))


@pytest.fixture
def bench() -> Iterator[PipeBroker]:
    """A broker with small limits on a clock of ours."""
    made = PipeBroker(LIMITS)
    yield made
    made.close()
    assert not made.errors


@pytest.fixture
def neighbours(bench: PipeBroker) -> Neighbours:
    """The pair that must not notice anything."""
    return Neighbours(bench)


def resident_bytes() -> int:
    """Return the resident size of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def talk_nonsense(bench: PipeBroker, pipe: Pipe, rng: random.Random, data: bytes) -> None:
    """Send bytes in pieces, then go in some way."""
    bench.within(lambda: pipe.send(*mutations.cut(rng, data)))
    if rng.random() < 0.2:
        bench.pass_s(rng.choice((0.5, 20, 100)))
    bench.within(rng.choice((pipe.cut, pipe.end, pipe.transport.close)))


def test_nothing_before_connect_does_harm(bench: PipeBroker, neighbours: Neighbours):
    for rng in seeded("before CONNECT"):
        pipe = bench.pipe()
        data = mutations.noise(rng) if rng.random() < 0.5 else mutations.stream(rng, 4)
        talk_nonsense(bench, pipe, rng, data)
        if not data.startswith(b"\x10"):
            assert pipe.raw() == b""  # who has not said CONNECT is told nothing
        neighbours.talk()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_no_spoilt_connect_does_harm(bench: PipeBroker, neighbours: Neighbours, version: int):
    for rng in seeded(f"CONNECT of version {version}", 1.0):
        pipe = bench.pipe(version)
        data = mutations.mutated(rng, mutations.connect(rng, version))
        talk_nonsense(bench, pipe, rng, data + mutations.stream(rng, version))
        neighbours.talk()


@pytest.mark.parametrize("version", [3, 4, 5])
def test_nothing_after_connect_does_harm(bench: PipeBroker, neighbours: Neighbours, version: int):
    for rng in seeded(f"after CONNECT of version {version}"):
        pipe = bench.pipe(version)
        bench.send(pipe, mutations.connect(rng, version, f"fuzz-{rng.randrange(3)}"))
        talk_nonsense(bench, pipe, rng, mutations.stream(rng, version))
        found = pipe.packets()  # each of them right, whatever came in
        assert found[0].kind == CONNACK
        neighbours.talk()


def test_memory_is_bounded_whatever_is_sent(bench: PipeBroker, neighbours: Neighbours):
    gc.collect()
    before = most = resident_bytes()
    sent = 0
    for rng in seeded("memory"):
        version = rng.choice((4, 5))
        pipe = bench.pipe(version)
        bench.send(pipe, mutations.connect(rng, version, f"fuzz-{rng.randrange(40)}"))
        number = rng.randrange(1, 60000)
        packets = [
            raw.subscribe(1, f"{number}/#", "deep/" * 50 + "#", version=version, qos=2),
            *(
                raw.publish(
                    f"{number}/{index}", b"x" * 8000, index % 3, number + index, version=version
                )
                for index in range(20)
            ),
            b"\x30\xff\xff\xff\x7f" + b"x" * 60_000,  # 256 MB are announced
        ]
        sent += sum(map(len, packets))
        bench.within(lambda pipe=pipe, packets=packets: pipe.send(*packets))
        if rng.random() < 0.5:
            bench.within(pipe.cut)
        neighbours.talk()
        most = max(most, resident_bytes())
    assert most - before < MOST_GROWTH_BYTES, f"after {sent} bytes"
    assert len(bench.broker.connections) <= LIMITS.connections + 1


def test_a_client_that_never_reads_costs_a_bounded_amount(
    bench: PipeBroker, neighbours: Neighbours
):
    deaf = bench.pipe(5)
    bench.send(deaf, raw.connect("deaf", version=5))
    bench.send(deaf, raw.subscribe(1, ("flood", 0), ("flood/1", 1), version=5))
    before = resident_bytes()
    for index in range(3000):
        source = neighbours.pipes[index % 2]
        told = [
            raw.publish("flood", b"x" * 8000, version=source.version),
            raw.publish("flood/1", b"x" * 8000, 1, 1, version=source.version),
        ]
        bench.send(source, *told)
        source.raw()
    neighbours.talk()
    assert len(deaf.unread) < 2 * LIMITS.unsent_bytes
    assert resident_bytes() - before < MOST_GROWTH_BYTES
