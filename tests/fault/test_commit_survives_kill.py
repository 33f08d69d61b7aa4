"""`kill -9` at any moment of a commit: what was acknowledged is there, and nothing is there twice."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway.model.block import unpack
from gateway.store.committer import Committer
from gateway.store.spool import SqliteSpool
from tests.fakes.clock import FakeClock
from tests.fault.log_writer import DEVICE, body


class Life:
    """What one process said before it was killed."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.log = ""
        self.settled = 0
        self.taken: set[tuple[str, int]] = set()
        for line in lines:
            match line.split():
                case ["open", log]:
                    self.log = log
                case ["take", log, first, last]:
                    self.taken |= {(log, n) for n in range(int(first), int(last) + 1)}
                case [number]:
                    self.settled = int(number)


def killed_after(path: Path, seconds: float) -> Life:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fault.log_writer", str(path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    whole = [line for line in (first + rest).splitlines(keepends=True) if line.endswith("\n")]
    return Life(whole)


async def records_on_disk(path: Path) -> list[tuple[str, int, bytes]]:
    committer = Committer(path, "log", page_size=1024, auto_vacuum=True)
    await committer.open()
    spool = SqliteSpool(committer, clock=FakeClock(), node=DEVICE)
    await spool.open()
    blocks = await spool.pending(most_bytes=1 << 40)
    assert spool.usage().corrupt == 0
    held = sum(b.last - b.first + 1 for b in blocks)
    assert spool.usage().records <= held
    assert spool.usage().bytes == sum(len(b.data) for b in blocks)
    await spool.close()
    await committer.close()
    return [(b.log, r.number, r.body) for b in blocks for r in unpack(b)]


async def survives(path: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    lives: list[Life] = []
    taken: set[tuple[str, int]] = set()
    for _ in range(kills):
        life = killed_after(path, dice.uniform(0.0, 0.04))
        lives.append(life)
        taken |= life.taken
        found = await records_on_disk(path)
        keys = [(log, number) for log, number, _ in found]
        assert len(keys) == len(set(keys)), "a record is there twice"
        assert all(text == body(log, number) for log, number, text in found)
        promised = {(each.log, n) for each in lives for n in range(1, each.settled + 1)}
        assert promised - set(keys) <= taken, "an acknowledged record is gone"
    assert sum(life.settled for life in lives) > 0, "nothing was ever acknowledged: no test at all"


async def test_everything_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    await survives(tmp_path / "log.db", kills=5, seed=5)


@pytest.mark.slow
async def test_everything_acknowledged_is_there_after_many_kills(tmp_path: Path) -> None:
    await survives(tmp_path / "log.db", kills=80, seed=80)
