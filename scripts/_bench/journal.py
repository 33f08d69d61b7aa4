"""What the broker's journal costs: CPU a message, bytes written a message, time to load; no network, no broker.

Messages of 64 bytes for one kept session are noted in groups, committed, delivered and finished, as the broker does
with a QoS 1 subscriber that keeps up.  `cpu_us_*` is everything the process spends on a message: the note, its share
of the commit (SQLite, fsync, the hand-over to the writer's thread), and the note of its end.
"""

import asyncio
import resource
import tempfile
import time
from pathlib import Path

from gateway.mqtt.journal import SessionKey
from gateway.mqtt.message import Message
from gateway.mqtt.ports import PrincipalKind
from gateway.runtime.clock import SystemClock
from gateway.store.committer import Committer
from gateway.store.mqtt_journal import JournalLimits, SqliteJournal

KEY = SessionKey(PrincipalKind.USER, "bench", "bench")
GROUPS = (1, 20, 250)
PAYLOAD = b"x" * 64
KEPT = 50_000  # messages that a start must find


def run(*, quick: bool) -> dict[str, float]:
    """Return microseconds and bytes for each size of group, and what a start costs."""
    rounds = 50 if quick else 300
    metrics: dict[str, float] = {}
    for size in GROUPS:
        metrics |= asyncio.run(_groups(size, rounds))
    return metrics | asyncio.run(_start(KEPT // 10 if quick else KEPT))


class _Bench:
    """A journal in a folder of its own."""

    def __init__(self, folder: str) -> None:
        self.committer = Committer(Path(folder) / "log.db", "log", page_size=1024, auto_vacuum=True)
        limits = JournalLimits(ack_delay_s=3600, loss_window_s=3600)
        self.journal = SqliteJournal(self.committer, clock=SystemClock(), limits=limits)
        self.last = 0
        self.message = Message("home/kitchen/temperature", b"home/kitchen/temperature", PAYLOAD, 1)

    def note(self, sid: int, count: int) -> list[int]:
        """Note messages; return their packet ids."""
        ids = [(self.last + n) % 65_535 + 1 for n in range(count)]
        self.last += count
        for packet_id in ids:
            self.journal.enqueue(self.message, ((sid, packet_id, 1, b""),))
        return ids


async def _groups(size: int, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = _Bench(folder)
        await bench.committer.open()
        await bench.journal.load()
        sid = bench.journal.new_session(KEY, 4, 3600)
        noting_s, written, cpu_s = 0.0, _written(), time.process_time()
        for _ in range(rounds):
            started = time.perf_counter()
            ids = bench.note(sid, size)
            noting_s += time.perf_counter() - started
            await bench.committer.transaction(lambda _: None)
            for packet_id in ids:
                bench.journal.finish(sid, packet_id)
        cpu_s, written = time.process_time() - cpu_s, _written() - written
        await bench.committer.close()
    messages = size * rounds
    return {
        f"note_us_{size}": noting_s / messages * 1e6,
        f"cpu_us_{size}": cpu_s / messages * 1e6,
        f"bytes_{size}": written / messages,
    }


async def _start(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = _Bench(folder)
        await bench.committer.open()
        await bench.journal.load()
        sid = bench.journal.new_session(KEY, 4, 3600)
        for _ in range(0, count, 250):
            bench.note(sid, 250)
            await bench.committer.transaction(lambda _: None)
        await bench.committer.close()
        again = _Bench(folder)
        await again.committer.open()
        started = time.perf_counter()
        kept = await again.journal.load()
        took_s = time.perf_counter() - started
        await again.committer.close()
    found = len(kept.sessions[0].deliveries)
    return {"load_us_a_message": took_s / found * 1e6, "loaded": float(found)}


def _written() -> float:
    """Return the bytes that this process has had written to disk (blocks of 512, rusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_oublock * 512.0
