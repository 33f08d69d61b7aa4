"""What the child's machine asks of the stores, done in order of kind: reading never waits for a commit."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.model.log_ports import Inbox, Spool
from gateway.model.message import Receipt
from gateway.model.ranges import RangeSet
from gateway.uplink.protocol import child_events as ev
from gateway.uplink.protocol import effects as fx
from gateway.uplink.protocol.frames import Registration
from gateway.uplink.protocol.registers import digest

Tell = Callable[[ev.ChildEvent], None]
Documents = Callable[[], Awaitable[Sequence[Registration]]]


class ChildWork:
    """Runs for as long as the service, across sessions: an admitted command must hear of it whatever the link does."""

    def __init__(self, spool: Spool, inbox: Inbox, documents: Documents, tell: Tell) -> None:
        self._spool = spool
        self._inbox = inbox
        self._documents = documents
        self._tell = tell
        self._reads: asyncio.Queue[fx.ReadBlocks | fx.GatherDocuments] = asyncio.Queue()
        self._settles: asyncio.Queue[fx.Settle | fx.ForgetLog] = asyncio.Queue()
        self._admits: asyncio.Queue[fx.Admit] = asyncio.Queue()
        self._boots: set[str] = set()

    def new_session(self) -> None:
        """Forget which boots were told to the parent."""
        self._boots.clear()

    def add(self, effect: fx.ChildEffect) -> None:
        """Queue one effect; the machine's window bounds how many there can be."""
        match effect:
            case fx.ReadBlocks() | fx.GatherDocuments():
                self._reads.put_nowait(effect)
            case fx.Settle() | fx.ForgetLog():
                self._settles.put_nowait(effect)
            case fx.Admit():
                self._admits.put_nowait(effect)
            case _:
                raise TypeError(type(effect).__name__)

    async def run(self) -> None:
        """Work until cancelled; a StoreError ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read(), name="uplink-read")
            group.create_task(self._settle(), name="uplink-settle")
            group.create_task(self._admit(), name="uplink-admit")

    async def _read(self) -> None:
        while True:
            request = await self._reads.get()
            if isinstance(request, fx.GatherDocuments):
                devices = await self._documents()
                self._tell(ev.DocumentsGathered(request, devices, digest(devices)))
                continue
            blocks = await self._spool.pending(
                but=request.but, most_bytes=request.most_bytes, after=request.after
            )
            boots = {block.boot_id for block in blocks} - self._boots
            anchors = await self._spool.anchors(boots) if boots else ()
            self._boots |= boots
            self._tell(ev.BlocksRead(request, blocks, anchors))

    async def _settle(self) -> None:
        while True:
            waiting = [await self._settles.get()]
            while not self._settles.empty():
                waiting.append(self._settles.get_nowait())
            for receipt in _merged([e.receipt for e in waiting if isinstance(e, fx.Settle)]):
                await self._spool.settle(receipt)
                self._tell(ev.Settled(receipt))
            for effect in waiting:
                if isinstance(effect, fx.ForgetLog):
                    await self._spool.forget_log(effect.log)

    async def _admit(self) -> None:
        while True:
            request = await self._admits.get()
            is_new = await self._inbox.admit(
                request.command, down_log=request.down_log, number=request.number
            )
            self._tell(ev.Admitted(request, is_new))


def _merged(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Join the receipts of each log: what was taken only grows, so one settling does for all of them."""
    merged: dict[str, Receipt] = {}
    for receipt in receipts:
        known = merged.get(receipt.log, Receipt(receipt.log, RangeSet()))
        merged[receipt.log] = Receipt(
            receipt.log, known.taken.union(receipt.taken), {**known.refused, **receipt.refused}
        )
    return list(merged.values())
