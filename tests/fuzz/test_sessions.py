"""Anything that clients, disk, claims and time do, in any order: the broker's books agree, and nothing hangs in the end."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from gateway.broker.access_change import user_changed
from gateway.broker.limits import Limits
from gateway.broker.pausing import Hold
from gateway.broker.server import Broker
from gateway.mqtt.ports import (
    CONSUMED,
    ROUTED,
    Consumed,
    Grant,
    Granted,
    Principal,
    PrincipalKind,
    Refused,
    Verdict,
    Wait,
)
from gateway.mqtt.queues import DropPolicy
from tests.fakes import raw_packets as raw
from tests.fakes.mqtt_broker import DEVICE, OTHER
from tests.fakes.raw_packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Prop
from tests.fakes.raw_pipe import Pipe, PipeBroker
from tests.fuzz.invariants import check
from tests.fuzz.late_journal import LateBroker
from tests.fuzz.seeds import SECONDS, seeded

pytestmark = pytest.mark.slow

ROUND_S = 2.5 * SECONDS
STEPS = 200
FILTERS = (
    *("home/1", "home/+", "#", "home/2", "work/1", OTHER),
    *("$share/g/home/#", "$share/g/home/1", "$share/h/+/1"),
)
TOPICS = ("home/0", "home/1", "home/2", "work/1", "message")
USERS = ("admin", "admin", "reader", DEVICE)
KEYS = ("key 1", "key 2")
MOST_CLIENTS = 6


class Client:
    """One connection, and the answers that it owes."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.due: list[bytes] = []


class Crowd:
    """Clients of one broker, and everything else that happens to it."""

    def __init__(self, rng: random.Random, *, is_durable: bool) -> None:
        self.rng = rng
        limits = Limits(
            queued=rng.choice((3, 10, 200)),
            queued_bytes=rng.choice((300, 5000)),
            all_queued_bytes=rng.choice((600, 20_000)),
            drop=rng.choice(list(DropPolicy)),
            unsent_bytes=rng.choice((200, 1000, 100_000)),
            messages_per_s=rng.choice((0.0, 0.0, 5.0)),
        )
        self.bench = LateBroker(limits) if is_durable else PipeBroker(limits)
        self.clients: list[Client] = []
        self.settle_number = 0
        self.is_answering = False  # claims answer at once, and say yes
        self.begun()

    @property
    def broker(self) -> Broker:
        """Return the broker of this life."""
        return self.bench.broker

    def begun(self) -> None:
        """Claim what the node claims at every start."""
        self.broker.claim("work/#", self.judged)
        self.broker.claim("message", self.judged)
        self.broker.claim_uuids(self.judged, self.subscribed, lambda *_: None)

    def judged(self, *_: object) -> Verdict:
        """Answer a PUBLISH as a claim."""
        if self.is_answering:
            return CONSUMED
        self.settle_number += 1
        told = (ROUTED, CONSUMED, Refused("no"), Consumed(self.settle_number))
        return self.rng.choice((*told, Wait(self.rng.choice(KEYS))))

    def subscribed(self, *_: object) -> Granted | Wait:
        """Answer a SUBSCRIBE as the mesh."""
        if self.is_answering:
            return Granted(1)
        return self.rng.choice((Granted(1), Granted(128), Wait(self.rng.choice(KEYS))))

    # ---- what clients do ----

    def come(self, _: Client | None = None) -> None:
        """Connect, perhaps in place of another."""
        rng, version = self.rng, self.rng.choice((4, 5))
        told: dict[int, Any] = {}
        if version == 5:
            choices: dict[int, tuple[int, ...]] = {
                Prop.SESSION_EXPIRY: (5, 100),
                Prop.RECEIVE_MAXIMUM: (1, 3, 50),
                Prop.MAXIMUM_PACKET: (60, 100),
                Prop.ALIAS_MAXIMUM: (1, 5),
            }
            told = {name: rng.choice(of) for name, of in choices.items() if rng.random() < 0.5}
        user, will = rng.choice(USERS), None
        if rng.random() < 0.4:
            delay = {Prop.WILL_DELAY: 3} if version == 5 and rng.random() < 0.5 else {}
            topic, qos = rng.choice(("home/1", "work/1")), rng.choice((0, 1, 2))
            will = raw.RawWill(topic, qos=qos, retain=rng.random() < 0.3, properties=delay)
        client = Client(Pipe(self.bench, version))
        self.clients.append(client)
        is_clean = rng.random() < 0.25
        client.pipe.send(
            raw.connect(
                rng.choice("xyz"), version=version, user=user, clean=is_clean, props=told, will=will
            )
        )

    def subscribe(self, client: Client) -> None:
        rng, version = self.rng, client.pipe.version
        told = {}
        if version == 5 and rng.random() < 0.4:
            told = {Prop.SUBSCRIPTION_ID: rng.randrange(1, 300)}
        pattern = rng.choice(FILTERS)
        options = rng.choice((0, 1, 2))
        if version == 5 and not pattern.startswith("$share") and rng.random() < 0.3:
            options |= raw.NO_LOCAL
        client.pipe.send(
            raw.subscribe(self.number(), (pattern, options), version=version, props=told)
        )

    def unsubscribe(self, client: Client) -> None:
        pattern = self.rng.choice(FILTERS)
        client.pipe.send(raw.unsubscribe(self.number(), pattern, version=client.pipe.version))

    def publish(self, client: Client) -> None:
        """Publish a few messages, in one read or one by one."""
        rng = self.rng
        packets = [
            raw.publish(
                rng.choice(TOPICS),
                b"p" * rng.choice((0, 1, 40, 400)),
                rng.choice((0, 1, 1, 2, 2)),
                self.number(),
                version=client.pipe.version,
                retain=rng.random() < 0.15,
            )
            for _ in range(rng.randrange(1, 6))
        ]
        client.pipe.send(*([b"".join(packets)] if rng.random() < 0.5 else packets))

    def answer_anything(self, client: Client) -> None:
        """Answer what was perhaps never asked."""
        kind = self.rng.choice((PUBACK, PUBREC, PUBREL, PUBREL, PUBCOMP))
        client.pipe.send(raw.ack(kind, self.number()))

    def cut(self, client: Client) -> None:
        client.pipe.cut()

    def leave(self, client: Client) -> None:
        told = None
        if client.pipe.version == 5 and self.rng.random() < 0.5:
            told = {Prop.SESSION_EXPIRY: self.rng.choice((0, 9))}
        client.pipe.send(raw.disconnect(None if told is None else 0, props=told))

    def number(self) -> int:
        return self.rng.randrange(1, 30)

    # ---- what happens to them ----

    def commit(self, _: Client) -> None:
        if isinstance(self.bench, LateBroker):
            self.bench.journal.commit()

    def pass_time(self, _: Client) -> None:
        self.bench.clock_s += self.rng.choice((0.5, 3, 8))
        self.broker.sweep(self.bench.clock_s)

    def resume(self, _: Client) -> None:
        self.broker.resume([self.rng.choice(KEYS)])

    def settle(self, _: Client) -> None:
        self.broker.settled(self.rng.randrange(self.settle_number + 1))

    def throttle(self, _: Client) -> None:
        self.broker.throttle("store", is_full=not self.broker.full)

    def let_go_on(self, client: Client) -> None:
        client.pipe.connection.release(Hold.RATE)

    def judge_again(self, _: Client) -> None:
        self.broker.access_changed()

    def kick(self, client: Client) -> None:
        self.broker.kick(client.pipe.connection, "kicked")

    def change_roles(self, _: Client) -> None:
        """Let the reader read all of it, or little."""
        grants = self.rng.choice((("home/#",), ("home/1", "work/#"), ()))
        may = tuple(Grant(pattern, read=True) for pattern in grants)
        now = Principal(PrincipalKind.USER, "reader", may)
        user_changed(self.broker, "reader", now, "roles changed")

    def crash(self) -> None:
        """End the process and everybody's connection; what was not durable is gone."""
        self.bench.crash()
        self.clients.clear()
        self.bench.within(self.begun)

    # ---- how it goes on ----

    def step(self) -> None:
        """Do one to three things within one turn of the loop, then let some read."""
        rng = self.rng
        if isinstance(self.bench, LateBroker) and rng.random() < 0.01:
            self.crash()
        self.bench.within(lambda: [self.act() for _ in range(rng.randrange(1, 4))])
        check(self.broker)
        for client in list(self.clients):
            if rng.random() < 0.6:
                self.look(client, 0.5)
        check(self.broker)

    def act(self) -> None:
        """Do one thing; the books agree within a turn, too."""
        self.clients = [client for client in self.clients if client.pipe.is_open]
        if not self.clients or (len(self.clients) < MOST_CLIENTS and self.rng.random() < 0.12):
            self.come()
        else:
            names, weights = zip(*ACTS.items(), strict=True)
            (act,) = self.rng.choices(names, weights)
            act(self, self.rng.choice(self.clients))
        check(self.broker)

    def look(self, client: Client, share: float) -> None:
        """Read what has come to a client, and give a share of its answers."""
        answers = {PUBREC: PUBREL, PUBREL: PUBCOMP}
        for packet in client.pipe.packets():
            if packet.kind == PUBLISH and packet.qos:
                client.due.append(raw.ack(PUBACK if packet.qos == 1 else PUBREC, packet.number))
            elif packet.kind in answers:
                client.due.append(raw.ack(answers[packet.kind], packet.number))
        now = [answer for answer in client.due if self.rng.random() < share]
        client.due = [answer for answer in client.due if answer not in now]
        self.bench.send(client.pipe, *now)

    def calm_down(self) -> None:
        """Let everything be answered, then look whether anything hangs."""
        self.is_answering = True
        self.bench.within(lambda: self.broker.throttle("store", is_full=False))
        for _ in range(60):
            if isinstance(self.bench, LateBroker):
                self.bench.commit()
            self.bench.within(lambda: self.broker.resume(KEYS))
            self.bench.within(lambda: self.broker.settled(self.settle_number))
            self.bench.pass_s(1)
            for client in self.clients:
                self.bench.within(lambda one=client: one.pipe.connection.release(Hold.RATE))
                self.look(client, 1.0)
        check(self.broker)
        assert not self.broker.unsettled
        assert not len(self.broker.waiting)
        assert not self.broker.routing.held
        for connection in self.broker.connections:
            session = connection.session
            assert not connection.holds
            assert session is not None
            assert not (session.acks or session.unsent or session.inflight)
            assert not (session.released or session.replays)


ACTS: dict[Callable[[Crowd, Client], None], float] = {
    Crowd.come: 1,
    Crowd.subscribe: 15,
    Crowd.unsubscribe: 7,
    Crowd.publish: 33,
    Crowd.answer_anything: 8,
    Crowd.cut: 4,
    Crowd.leave: 3,
    Crowd.commit: 8,
    Crowd.pass_time: 4,
    Crowd.resume: 5,
    Crowd.settle: 5,
    Crowd.throttle: 2,
    Crowd.let_go_on: 5,
    Crowd.judge_again: 1,
    Crowd.kick: 1,
    Crowd.change_roles: 1,
}
"""What happens, and how often."""


@pytest.mark.parametrize("is_durable", [False, True], ids=["in memory", "over a slow disk"])
def test_the_books_agree_and_nothing_hangs(is_durable: bool):
    for rng in seeded(f"sessions, durable {is_durable}", ROUND_S):
        crowd = Crowd(rng, is_durable=is_durable)
        with crowd.bench:
            for _ in range(STEPS):
                crowd.step()
            crowd.calm_down()
