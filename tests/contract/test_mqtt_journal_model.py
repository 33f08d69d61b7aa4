"""Random notes, commits, stops and crashes: what is found is what a plain model says was on disk."""

import copy
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mqtt.journal import Kept, KeptSubscription, SessionKey
from gateway.mqtt.message import Message
from gateway.mqtt.ports import PrincipalKind
from gateway.store.mqtt_journal import JournalLimits
from tests.fakes.mqtt_journal import JournalStore

LIMITS = JournalLimits(600, 600, 600, least_log_bytes=3000)
TOPICS = ("a", "b/c", "ü")
KEYS = [SessionKey(PrincipalKind.USER, name, "c") for name in ("u", "v")]

indexes = st.integers(0, 7)
topics = st.sampled_from(TOPICS)
payloads = st.sampled_from((b"", b"x", b"y" * 40, b"z" * 2000))
OPERATIONS = st.one_of(
    st.tuples(st.just("new"), indexes),
    st.tuples(st.just("set"), indexes, st.integers(3, 5)),
    st.tuples(st.just("drop"), indexes),
    st.tuples(st.just("subscribe"), indexes, topics, st.integers(0, 2)),
    st.tuples(st.just("unsubscribe"), indexes, topics),
    st.tuples(st.just("receive"), indexes, indexes),
    st.tuples(st.just("forget"), indexes, indexes),
    *[st.tuples(st.just("enqueue"), st.sets(indexes, min_size=1), topics, payloads)] * 4,
    *[st.tuples(st.just("finish"), indexes, indexes)] * 4,
    st.tuples(st.just("release"), indexes, indexes),
    st.tuples(st.just("retain"), topics, payloads, st.integers(0, 2), st.booleans()),
    st.tuples(st.just("will"), st.sampled_from(KEYS), st.one_of(st.none(), payloads)),
    *[st.just(("commit",))] * 5,
    st.just(("crash",)),
    st.just(("stop",)),
)


@dataclass
class Image:
    """What lies on disk, or would after a commit."""

    sessions: dict[int, dict[str, Any]] = field(default_factory=dict)
    retained: dict[str, bytes] = field(default_factory=dict)
    wills: dict[SessionKey, bytes] = field(default_factory=dict)


def image_of(kept: Kept) -> Image:
    assert kept.damaged == 0
    return Image(
        {
            found.sid: {
                "version": found.version,
                "subscriptions": {s.pattern: s.options for s in found.subscriptions},
                "received": set(found.received),
                "deliveries": {
                    d.packet_id: (d.outgoing[0].topic, d.outgoing[0].payload, d.is_released)
                    for d in found.deliveries
                },
                "order": [d.packet_id for d in found.deliveries],
            }
            for found in kept.sessions
        },
        {found.message.topic: found.message.payload for found in kept.retained},
        {found.key: found.message.payload for found in kept.wills},
    )


class Player:
    """Plays operations on a journal and on its model."""

    def __init__(self, store: JournalStore) -> None:
        self.store = store
        self.noted = Image()
        self.durable = Image()
        self.held: dict[str, tuple[bytes, str]] = {}  # retained, noted and not in the group
        self.urgent: set[str] = set()
        self.packet_id = 0

    async def play(self, name: str, *values: Any) -> None:
        step = getattr(self, name)
        if name in ("commit", "crash", "stop"):
            await step()
        elif name in ("new", "retain", "will", "enqueue"):
            step(*values)
        elif sids := list(self.noted.sessions):
            step(sids[values[0] % len(sids)], *values[1:])

    def new(self, index: int) -> None:
        sid = self.store.journal.new_session(KEYS[index % 2], 4, 60)
        assert sid not in self.noted.sessions
        self.noted.sessions[sid] = {
            "version": 4, "subscriptions": {}, "received": set(), "deliveries": {}, "order": []
        }  # fmt: skip

    def set(self, sid: int, version: int) -> None:
        self.store.journal.set_session(sid, version, 60, 60.0)
        self.noted.sessions[sid]["version"] = version

    def drop(self, sid: int) -> None:
        self.store.journal.drop_session(sid)
        del self.noted.sessions[sid]

    def subscribe(self, sid: int, pattern: str, options: int) -> None:
        self.store.journal.subscribe(sid, KeptSubscription(pattern, options))
        self.noted.sessions[sid]["subscriptions"][pattern] = options

    def unsubscribe(self, sid: int, pattern: str) -> None:
        self.store.journal.unsubscribe(sid, pattern)
        self.noted.sessions[sid]["subscriptions"].pop(pattern, None)

    def receive(self, sid: int, number: int) -> None:
        self.store.journal.receive(sid, number)
        self.noted.sessions[sid]["received"].add(number)

    def forget(self, sid: int, number: int) -> None:
        self.store.journal.forget(sid, number)
        self.noted.sessions[sid]["received"].discard(number)

    def enqueue(self, chosen: "set[int]", topic: str, payload: bytes) -> None:
        sids = list(self.noted.sessions)
        receivers = {sids[index % len(sids)] for index in chosen} if sids else set()
        targets = []
        for sid in sorted(receivers):
            self.packet_id += 1
            session = self.noted.sessions[sid]
            session["deliveries"][self.packet_id] = (topic, payload, False)
            session["order"].append(self.packet_id)
            targets.append((sid, self.packet_id, 1, b""))
        if targets:
            self.store.journal.enqueue(Message(topic, topic.encode(), payload, 1), targets)

    def finish(self, sid: int, index: int) -> None:
        session = self.noted.sessions[sid]
        if session["order"]:
            number = session["order"].pop(index % len(session["order"]))
            del session["deliveries"][number]
            self.store.journal.finish(sid, number)

    def release(self, sid: int, index: int) -> None:
        session = self.noted.sessions[sid]
        if session["order"]:
            number = session["order"][index % len(session["order"])]
            session["deliveries"][number] = (*session["deliveries"][number][:2], True)
            self.store.journal.release(sid, number)

    def retain(self, topic: str, payload: bytes, qos: int, is_node: bool) -> None:
        message = Message(topic, topic.encode(), payload, qos, retain=True)
        if self.store.journal.retain(message, is_node=is_node):
            self.urgent.add(topic)
        if topic in self.urgent:
            self.held.pop(topic, None)
            self.noted.retained[topic] = payload
        else:
            assert is_node or qos == 0
            self.held[topic] = (payload, "held back")

    def will(self, key: SessionKey, payload: bytes | None) -> None:
        message = Message("w", b"w", payload, 1) if payload is not None else None
        self.store.journal.will(key, message)
        self.noted.wills.pop(key, None)
        if payload is not None:
            self.noted.wills[key] = payload

    async def commit(self) -> None:
        await self.store.commit()
        self.urgent.clear()
        self.durable = copy.deepcopy(self.noted)
        self.durable.retained = {t: p for t, p in self.durable.retained.items() if p}
        assert self.store.journal.through == self.store.journal.number - 1

    async def crash(self) -> None:
        await self.store.crash()
        await self.found()

    async def stop(self) -> None:
        self.noted.retained |= {topic: payload for topic, (payload, _) in self.held.items()}
        await self.store.close()
        self.durable = copy.deepcopy(self.noted)
        self.durable.retained = {t: p for t, p in self.durable.retained.items() if p}
        await self.found()

    async def found(self) -> None:
        self.held.clear()
        self.urgent.clear()
        assert image_of(await self.store.open(LIMITS)) == self.durable
        self.noted = copy.deepcopy(self.durable)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(operations=st.lists(OPERATIONS, min_size=30, max_size=150))
async def test_what_is_found_is_what_was_durable(operations: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = JournalStore(Path(folder))
        await store.open(LIMITS)
        player = Player(store)
        player.new(0)
        player.new(1)
        for operation in (*operations, ("commit",), ("crash",)):
            await player.play(*operation)
        await store.close()
