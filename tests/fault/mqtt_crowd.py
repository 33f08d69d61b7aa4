"""Clients of a broker that is killed again and again, and the books they keep of what they were promised.

The promises are the acknowledgements that clients saw; the clients go on over all lives of the broker.
"""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.fakes.waiting import eventually
from tests.fault.mqtt_clients import Client, Publisher, Subscriber, packet, read, text

ALIVE_S = (0.03, 0.45)
AWAY_EVERY = 3  # lives in which the far subscriber is not there


@dataclass
class Crowd:
    """The clients, and what they must have seen in the end."""

    publishers: list[Publisher]
    subscribers: list[Subscriber]
    far: Subscriber
    keeper: Publisher  # of a retained topic that nobody subscribed
    late: list[tuple[Subscriber, dict[str, int]]] = field(default_factory=list)
    lives: int = 0

    @classmethod
    def of(cls, version: int) -> "Crowd":
        return cls(
            [
                Publisher("one", 1, version),
                Publisher("two", 2, version),
                Publisher("zwei", 2, 9 - version),
            ],
            [Subscriber("near", 2, version), Subscriber("plain", 1, version)],
            Subscriber("far", 2, version),
            Publisher("keeper", 1, version, topic="state/keeper", retain=True),
        )

    def present(self) -> Sequence[Client]:
        """Return who connects in this life."""
        is_away = self.lives % AWAY_EVERY != 1
        late = [subscriber for subscriber, _ in self.late[-4:]]
        first = [*self.subscribers, *late, *([] if is_away else [self.far])]
        return first if self.lives == 1 else [*first, *self.publishers, self.keeper]

    def everybody(self) -> list[Client]:
        return [*self.publishers, self.keeper, *self.receivers()]

    def receivers(self) -> list[Subscriber]:
        return [*self.subscribers, self.far, *(each for each, _ in self.late)]

    def packets(self) -> int:
        """Return how many messages all subscribers got, repeats included."""
        return sum(each.packets for each in self.receivers())

    def missing(self) -> list[str]:
        """Return what was acknowledged and not delivered, or twice although it was sent at QoS 2."""
        wanted = [(each, dict[str, int]()) for each in (*self.subscribers, self.far)]
        return [
            problem
            for subscriber, since in (*wanted, *self.late)
            for publisher in self.publishers
            for problem in problems(subscriber, publisher, since.get(publisher.name, 0))
        ]


def problems(subscriber: Subscriber, publisher: Publisher, since: int) -> list[str]:
    found = []
    for number in range(since + 1, publisher.last + 1):
        count = subscriber.got[b"%s %d" % (publisher.name.encode(), number)]
        is_once = min(subscriber.qos, publisher.qos) == 2
        if count == 0 or (is_once and count > 1):
            found.append(f"{subscriber.name} got {publisher.name} {number} {count} times")
    order = subscriber.order.get(publisher.name.encode(), [])
    if order != sorted(order):
        found.append(f"{subscriber.name} got {publisher.name}'s messages out of order")
    return found


class Life(Protocol):
    """One life of a broker."""

    port: int

    async def kill(self) -> None:
        """End it as a power cut does."""

    async def stop(self) -> int:
        """End it tidily; return its exit code."""


Launch = Callable[[random.Random], AbstractAsyncContextManager[Life]]
"""Starts the broker again, on the same database; whatever ends the context ends the process."""


class Small:
    """A broker that is nothing but one, so that many lives cost little."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        self._process.terminate()
        return await self._process.wait()


def small(path: Path) -> Launch:
    """Return what starts `tests.fault.mqtt_node` on a database."""

    @contextlib.asynccontextmanager
    async def launch(dice: random.Random) -> AsyncIterator[Life]:
        delay_s = dice.choice((0.0, 0.005, 0.03))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fault.mqtt_node", str(path), str(delay_s),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = await process.stdout.readline()
            assert line, "the broker did not start"
            yield Small(process, int(line))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return launch


async def retained(port: int) -> int:
    """Return the number that the retained topic holds, 0 for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(Client("probe").hello(is_clean=True))
        writer.write(packet(0x82, b"\x00\x01", text("state/keeper"), b"\x00"))
        async with asyncio.timeout(2):
            while True:
                first, body = await read(reader)
                if first >> 4 == 3:
                    return int(body.split()[-1])
    except TimeoutError:
        return 0
    finally:
        writer.transport.abort()


async def one_life(crowd: Crowd, launch: Launch, dice: random.Random) -> None:
    """Run a broker, let clients work on it, kill it."""
    crowd.lives += 1
    async with launch(dice) as life:
        promised = crowd.keeper.acknowledged
        if promised:
            found = await retained(life.port)
            assert found >= promised, f"retained {promised} is gone, {found} is there"
        async with asyncio.TaskGroup() as group:
            for client in crowd.present():
                group.create_task(client.stay(life.port))
            if crowd.lives == 1:
                await eventually(lambda: all(each.has_promise for each in crowd.subscribers))
                await eventually(lambda: crowd.far.has_promise)
            await interrupted(crowd, dice)
            if crowd.lives % 5 == 2:
                await join(crowd, life.port, group)
            for client in crowd.everybody():
                client.is_staying = False
            await life.kill()


async def interrupted(crowd: Crowd, dice: random.Random) -> None:
    """Let a life go on for a while; now and then somebody loses the connection and comes back at once."""
    until = asyncio.get_running_loop().time() + dice.uniform(*ALIVE_S)
    while asyncio.get_running_loop().time() < until:
        await asyncio.sleep(dice.uniform(0.01, 0.05))
        writer = dice.choice(crowd.present()).writer
        if writer is not None:
            writer.transport.abort()


async def join(crowd: Crowd, port: int, group: asyncio.TaskGroup) -> None:
    """Add a subscriber right before the kill; from its SUBACK on, it is owed everything."""
    newcomer = Subscriber(f"late-{crowd.lives}", 2, 4 + crowd.lives % 2)
    group.create_task(newcomer.live(port))
    await eventually(lambda: newcomer.has_promise)
    since = {each.name: each.last for each in crowd.publishers}
    crowd.late.append((newcomer, since))


@contextlib.asynccontextmanager
async def connected(crowd: Crowd, launch: Launch, dice: random.Random) -> AsyncIterator[None]:
    """Run a broker with everybody on it; it is stopped tidily."""
    before = {each.name: each.connections for each in crowd.everybody()}
    async with launch(dice) as life, asyncio.TaskGroup() as group:
        for client in crowd.everybody():
            group.create_task(client.live(life.port))
        await eventually(
            lambda: all(each.connections > before[each.name] for each in crowd.everybody())
        )
        yield
        assert await life.stop() == 0, "it was to stop tidily"


async def rest(crowd: Crowd) -> None:
    """Return once nobody gets anything any more and the broker has seen every acknowledgement."""
    packets = -1
    while packets != crowd.packets():
        packets = crowd.packets()
        pongs = {each.name: each.pongs for each in crowd.receivers()}
        for subscriber in crowd.receivers():
            subscriber.ping()
        await eventually(lambda: all(e.pongs > pongs[e.name] for e in crowd.receivers()))  # noqa: B023 - awaited here
        await asyncio.sleep(0.05)


async def finish(crowd: Crowd, launch: Launch, dice: random.Random) -> None:
    """Let everything come to rest; stop tidily; nothing comes again."""
    for publisher in (*crowd.publishers, crowd.keeper):
        publisher.is_stopped = True
    async with connected(crowd, launch, dice):
        with contextlib.suppress(AssertionError):  # what is missing says more
            await eventually(
                lambda: all(p.is_idle for p in crowd.publishers) and not crowd.missing(), seconds=15
            )
        missing = crowd.missing()
        assert not missing, f"{len(missing)}: {missing[:5]}"
        assert all(publisher.is_idle for publisher in crowd.publishers)
        await eventually(lambda: not any(each.held for each in crowd.receivers()))
        await rest(crowd)
    packets = crowd.packets()
    async with connected(crowd, launch, dice):
        await asyncio.sleep(0.05)
        assert packets == crowd.packets(), "finished messages came again after a tidy stop"


async def survives(launch: Launch, kills: int, seed: int, version: int) -> Crowd:
    """Kill a broker many times; return the clients, whose books are in order: AssertionError says what is not."""
    dice = random.Random(seed)
    crowd = Crowd.of(version)
    for _ in range(kills):
        await one_life(crowd, launch, dice)
    await finish(crowd, launch, dice)
    sent = sum(publisher.last for publisher in crowd.publishers)
    assert sent > 5 * kills, f"only {sent} messages: no test at all"
    return crowd
