"""A process that appends to a log and says on its standard output which numbers are settled, until it is killed.

Run as `python -m tests.fault.log_writer PATH`; prints `open LOG` once and then one settled number a line.
"""

import asyncio
import os
import sys
from pathlib import Path

from gateway.model import DeviceUuid, Message, MessageKind, RangeSet, Receipt
from gateway.store.committer import Committer
from gateway.store.spool import SpoolLimits, SqliteSpool
from tests.fakes.clock import FakeClock

DEVICE = DeviceUuid("22222222-0000-4000-8000-000000000002")
TAKEN_EVERY = 7  # blocks; some are taken, so that deletions are cut as well


def body(log: str, number: int) -> bytes:
    """Return what record `number` of a log holds."""
    return b'{"payload":{"nonce":"%s-%d"}}' % (log.encode(), number)


def say(text: str) -> None:
    os.write(1, text.encode() + b"\n")  # unbuffered: the pipe outlives the writer


async def main(path: Path) -> None:
    clock = FakeClock()
    committer = Committer(path, "log", page_size=1024, auto_vacuum=True)
    await committer.open()
    limits = SpoolLimits(loss_window_s=0.002, ack_delay_s=0.001, offer_interval_s=0.001)
    spool = SqliteSpool(committer, clock=clock, node=DEVICE, limits=limits)
    await spool.open()
    spool.on_settled(lambda through: say(str(through)))
    say(f"open {spool.log}")
    number = 1
    for round_ in range(1_000_000):
        for _ in range(5):
            spool.append(
                Message("", MessageKind.READING, DEVICE, body(spool.log, number), clock.stamp()),
                waiting=number % 3 == 0,
            )
            number += 1
        await asyncio.sleep(0.001)
        if round_ % TAKEN_EVERY == 0:
            for block in (await spool.pending())[:1]:
                say(f"take {block.log} {block.first} {block.last}")
                await spool.settle(Receipt(block.log, RangeSet(((block.first, block.last),))))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
