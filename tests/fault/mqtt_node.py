"""A broker with a journal as a process of its own, to be killed; everybody may do everything.

Run as `python -m tests.fault.mqtt_node PATH ACK_DELAY_S [BUG]`; prints its port once it listens.  SIGTERM is a
tidy stop.  BUG is one of those below, for tests that must find it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from gateway.broker.limits import Limits
from gateway.broker.listeners import Listener, ListenerSpec
from gateway.broker.server import Broker
from gateway.mqtt.ports import Credentials, Grant, Principal, PrincipalKind, Rejected
from gateway.runtime.clock import SystemClock
from gateway.store.committer import Committer
from gateway.store.mqtt_journal import JournalLimits, SqliteJournal

ALL = (Grant("#", read=True, write=True),)
LIMITS = Limits(
    queued=1 << 20, queued_bytes=64 << 20
)  # nothing is dropped: it would look like a loss


EVERYBODY = Principal(PrincipalKind.USER, "everybody", ALL)


def authenticate(_: Credentials, done: Callable[[Principal | Rejected], None]) -> None:
    done(EVERYBODY)


class HastyJournal(SqliteJournal):
    """A bug: nobody waits for a commit."""

    def _wanted(self, seconds: float) -> int:
        super()._wanted(seconds)
        return 0


def sync_normally(committer: Committer) -> None:
    """Do without fsync at each commit; a bug, too."""
    assert committer._connection is not None
    committer._connection.execute("PRAGMA synchronous=NORMAL")


async def opened(
    stack: contextlib.AsyncExitStack, path: Path, ack_delay_s: float, bug: str = ""
) -> tuple[Committer, Broker]:
    """Open database, journal and broker as a node does; `stack` closes them in reverse."""
    committer = Committer(path, "log", page_size=1024, auto_vacuum=True)
    await committer.open()
    stack.push_async_callback(committer.close)
    limits = JournalLimits(ack_delay_s=ack_delay_s, loss_window_s=0.2, least_log_bytes=32 << 10)
    if bug == "synchronous=NORMAL":
        await asyncio.wrap_future(committer._thread.submit(sync_normally, committer))
    make = HastyJournal if bug == "ack before commit" else SqliteJournal
    journal = make(committer, clock=SystemClock(), limits=limits)
    broker = Broker(authenticate, limits=LIMITS, version="test", journal=journal)
    broker.restore(await journal.load(), lambda _: EVERYBODY)
    stack.callback(broker.close)
    return committer, broker


async def main(path: Path, ack_delay_s: float, bug: str = "") -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        committer, broker = await opened(stack, path, ack_delay_s, bug)
        listener = Listener(broker, ListenerSpec("test", ("127.0.0.1",), 0))
        await listener.open(stack)
        async with asyncio.TaskGroup() as group:
            services = [group.create_task(broker.run()), group.create_task(committer.run())]
            os.write(1, b"%d\n" % listener.addresses[0][1])
            await stop.wait()
            for service in services:
                service.cancel()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:]))
