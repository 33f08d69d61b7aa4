"""A power cut at any moment: what was acknowledged before it is found by the next start.

A broker works under a recorder of writes, syncs and sent bytes.  For many points of the recording the disk is made
as a power cut would leave it, unsynced writes dropped or some of them kept, and loaded as a start does.
"""

import asyncio
import os
import random
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.mqtt.journal import Kept, KeptSession
from gateway.runtime.clock import SystemClock
from gateway.store.committer import Committer
from gateway.store.mqtt_journal import SqliteJournal
from tests.fakes import fsync_replay
from tests.fakes.fsync_replay import Disk, Event
from tests.fakes.waiting import eventually
from tests.fault.mqtt_clients import Publisher, Subscriber

pytestmark = [pytest.mark.slow, pytest.mark.needs("gcc")]

BULK_IDS = 30_000  # packet ids from here on are of messages that only `near` gets
CUTS = 150


class Hesitant(Publisher):
    """A QoS 2 publisher that never releases every seventh message."""

    def received(self, first: int, body: bytes) -> None:
        packet_id = int.from_bytes(body[:2], "big")
        if first == 0x50 and packet_id % 7 == 0:
            self.acknowledged = self.unfinished.pop(packet_id)
            self.pump()
        else:
            super().received(first, body)


async def record(folder: Path, bug: str = "") -> Path:
    """Let a broker serve publishers and subscribers until enough was said; return the recording."""
    recording = folder / "recording"
    library = fsync_replay.built(folder)
    environment = os.environ | fsync_replay.settings(library, "log.db", recording)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fault.mqtt_node", str(folder / "log.db"), "0.005", bug,
        stdout=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        await talk(port)
    finally:
        process.kill()
        await process.wait()
    return recording


async def talk(port: int) -> None:
    away = Subscriber("away", pattern="kept/#")
    near = Subscriber("near", pattern="#")
    one = Publisher("one", 1, topic="kept/one", retain=True)
    two = Hesitant("two", 2, topic="kept/two")
    bulk = Publisher("bulk", 1, topic="bulk")
    one.ids = two.ids = (0, BULK_IDS)
    bulk.ids, bulk.padding = (BULK_IDS, 20_000), b" " + b"x" * 3000
    leaving = asyncio.ensure_future(away.live(port))  # noqa: TID251 - it ends before its group would
    await eventually(lambda: away.has_promise)
    leaving.cancel()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(near.live(port))]
        await eventually(lambda: near.has_promise)
        tasks += [group.create_task(each.live(port)) for each in (one, two, bulk)]
        await eventually(lambda: bulk.acknowledged > 400, seconds=20)
        for task in tasks:
            task.cancel()


@dataclass
class Promises:
    """What left the broker so far."""

    acknowledged: set[int] = field(default_factory=set)  # QoS 1 to `one`
    taken: set[int] = field(default_factory=set)  # PUBREC to `two`
    completed: set[int] = field(default_factory=set)  # PUBCOMP to `two`
    released: set[int] = field(default_factory=set)  # PUBREL to `near`
    delivered: set[bytes] = field(default_factory=set)  # to `near`, also owed to `away`
    subscriptions: int = 0
    _streams: dict[int, bytes] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Read what was sent over a socket."""
        if event.kind != b"n":
            return
        data = self._streams.get(event.fd, b"") + event.data
        while (whole := split(data)) is not None:
            first, body, data = whole
            self._packet(first, body)
        self._streams[event.fd] = data

    def _packet(self, first: int, body: bytes) -> None:
        number = int.from_bytes(body[:2], "big")
        kinds = {0x50: self.taken, 0x70: self.completed, 0x62: self.released}
        if first == 0x40 and number < BULK_IDS:
            self.acknowledged.add(number)
        elif first in kinds:
            kinds[first].add(number)
        elif first == 0x90:
            self.subscriptions += 1
        elif first >> 4 == 3 and body[2:].startswith(b"kept/"):
            self.delivered.add(body[2 + number + 2 :])

    @property
    def count(self) -> int:
        return len(self.acknowledged) + len(self.taken) + len(self.completed) + len(self.released)


def split(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Return (first byte, body, rest) of the first packet, or None until it is whole."""
    size = shift = 0
    for at in range(1, len(data)):
        size |= (data[at] & 127) << shift
        shift += 7
        if not data[at] & 128:
            end = at + 1 + size
            return (data[0], data[at + 1 : end], data[end:]) if end <= len(data) else None
    return None


def broken(promises: Promises, kept: Kept) -> list[str]:
    """Return which promises a start would break."""
    sessions = {session.key.client_id: session for session in kept.sessions}
    nobody = KeptSession(0, kept.sessions[0].key, 4, 0, 0) if kept.sessions else None
    away, near, two = (sessions.get(name, nobody) for name in ("away", "near", "two"))
    if away is None or near is None or two is None:
        return ["sessions are gone"] if promises.subscriptions else []
    waiting = [each.outgoing[0].payload for each in away.deliveries]
    owed = {b"one %d" % number for number in promises.acknowledged}
    owed |= {b"two %d" % number for number in promises.taken}
    unreleased = {each.packet_id for each in near.deliveries if not each.is_released}
    held = {number for number in promises.taken if number % 7 == 0}
    found = [
        ("damage", kept.damaged),
        ("subscriptions gone", promises.subscriptions > len(away.subscriptions + near.subscriptions)),
        ("acknowledged and lost", owed - set(waiting)),
        ("delivered before it was safe", promises.delivered - set(waiting)),
        ("there twice", len(waiting) - len(set(waiting))),
        ("PUBREL sent, not noted", promises.released & unreleased),
        ("PUBREC sent, packet id not kept", held - set(two.received)),
        ("PUBCOMP sent, packet id kept", promises.completed & set(two.received)),
        ("retained and lost", max(promises.acknowledged, default=0) > retained(kept)),
    ]  # fmt: skip
    return [f"{what}: {which}" for what, which in found if which]


def retained(kept: Kept) -> int:
    return max((int(each.message.payload.split()[1]) for each in kept.retained), default=0)


async def loaded(folder: Path) -> Kept:
    committer = Committer(folder / "log.db", "log", page_size=1024, auto_vacuum=True)
    await committer.open()
    try:
        return await SqliteJournal(committer, clock=SystemClock()).load()
    finally:
        await committer.close()


async def replay(recording: Path, folder: Path, cuts: int, seed: int) -> tuple[list[str], Promises]:
    """Cut the power at many points; return what was broken, and all that was promised."""
    dice = random.Random(seed)
    all_events = list(fsync_replay.events(recording))
    said = [at for at, event in enumerate(all_events) if event.kind == b"n"]
    anywhere = range(said[0], len(all_events))
    points = {*dice.sample(said, cuts // 2), *dice.sample(anywhere, cuts // 2)}
    disk, promises, problems = Disk(), Promises(), list[str]()
    for at, event in enumerate(all_events):
        disk.take(event)
        promises.take(event)
        if at in points:
            cut = folder / f"cut-{at}"
            disk.after_power_cut(cut, dice if at % 2 else None)
            problems += [f"event {at}: {text}" for text in broken(promises, await loaded(cut))]
            shutil.rmtree(cut)
    return problems, promises


async def test_what_was_acknowledged_is_found_after_a_power_cut(tmp_path: Path) -> None:
    recording = await record(tmp_path)
    problems, promises = await replay(recording, tmp_path, CUTS, seed=1)
    assert problems[:5] == []
    assert promises.count > 400, "too little was promised: no test at all"


@pytest.mark.parametrize("bug", ["synchronous=NORMAL", "ack before commit"])
async def test_the_replay_finds_a_planted_bug(tmp_path: Path, bug: str) -> None:
    recording = await record(tmp_path, bug)
    problems, _ = await replay(recording, tmp_path, 40, seed=2)
    assert problems


def test_a_write_counts_once_a_later_sync_has_ended(tmp_path: Path) -> None:
    disk = Disk()
    begun, ended = Event(b"s", 3, 0, b""), Event(b"S", 3, 0, b"")
    before, during = Event(b"w", 3, 0, b"aaaa"), Event(b"w", 3, 2, b"bb")
    after = Event(b"t", 3, 1, b"")
    for event in (Event(b"o", 3, 0, b"/x/log.db"), before, begun, during, ended, after):
        disk.take(event)
    disk.after_power_cut(tmp_path / "cut")
    assert (tmp_path / "cut" / "log.db").read_bytes() == b"aaaa"
