"""A broker in a list: matches `mqtt.ports.LocalBroker` for claims, parked packets and frames to sessions."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.model.device import is_uuid
from gateway.mqtt.ports import (
    Authenticator,
    Consumed,
    Credentials,
    Granted,
    Principal,
    Publish,
    PublishHandler,
    Refused,
    Rejected,
    Routed,
    SessionObserver,
    SubscribeHandler,
    UnsubscribeHandler,
    Wait,
)


@dataclass(eq=False)
class MemorySession:
    """One connection: what it was sent, what became of its packets."""

    principal: Principal
    client_id: str
    peer: str
    frames: list[tuple[str, dict[str, Any], int]] = field(default_factory=list)
    verdicts: list[Routed | Consumed | Refused] = field(default_factory=list)
    kicked: str | None = None
    will: tuple[str, object] | None = None

    def data(self, topic: str) -> list[Any]:
        """Return the data of the frames of one kind."""
        return [frame["data"] for _uuid, frame, _qos in self.frames if frame["topic"] == topic]


class MemoryBroker:
    """Asks claims as a broker does and keeps what they answer."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._claims: dict[str, PublishHandler] = {}
        self._parked: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
        self._observers: list[SessionObserver] = []
        self._peers = 0
        self.on_refused: Callable[[Any, Publish, str], None] | None = None

    # what clients do

    def connect(
        self, username: str | None, password: str | None, on_answer: Callable[[Any], None]
    ) -> None:
        """Log in; `on_answer` gets a MemorySession or a Rejected."""
        self._peers += 1
        peer = f"127.0.0.1:{self._peers}"
        secret = None if password is None else password.encode()
        credentials = Credentials(f"client-{self._peers}", username, secret, peer, "tcp")

        def done(answer: Principal | Rejected) -> None:
            if isinstance(answer, Rejected):
                on_answer(answer)
                return
            # A broker may name the client itself: sessions are told apart by their peer.
            session = MemorySession(answer, f"assigned-{peer}", peer)
            if answer.kind.value in ("device", "child"):
                for observer in self._observers:
                    observer.opened(session)
            on_answer(session)

        self._authenticator(credentials, done)

    def send(self, session: MemorySession, topic: str, payload: object, qos: int = 0) -> None:
        """Publish; texts and bytes go as they are, the rest as JSON."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        publish = Publish(topic, raw, qos, retain=False)
        handler = self._uuid_publish if is_uuid(topic) else self._claims[topic]

        def ask() -> None:
            verdict = handler(session, publish)
            if isinstance(verdict, Wait):
                self._parked[verdict.key].append(ask)
            else:
                session.verdicts.append(verdict)

        ask()

    def subscribe_to(
        self, session: MemorySession, topic: str, on_answer: Callable[[int], None], qos: int = 0
    ) -> None:
        """Subscribe to a uuid's topic."""

        def ask() -> None:
            answer = self._uuid_subscribe(session, topic, qos)
            if isinstance(answer, Granted):
                on_answer(answer.qos)
            else:
                self._parked[answer.key].append(ask)

        ask()

    def unsubscribe_from(self, session: MemorySession, topic: str) -> None:
        """End a subscription to a uuid's topic."""
        self._uuid_unsubscribe(session, topic)

    def disconnect(self, session: MemorySession) -> None:
        """End a connection from the client's side."""
        session.will = None
        self._end(session, "disconnect")

    def drop(self, session: MemorySession) -> None:
        """Lose a connection: its will is sent."""
        self._end(session, "connection lost")

    # LocalBroker

    def claim(self, pattern: str, handler: PublishHandler) -> None:
        assert pattern not in self._claims
        self._claims[pattern] = handler

    def claim_uuids(
        self, publish: PublishHandler, subscribe: SubscribeHandler, unsubscribe: UnsubscribeHandler
    ) -> None:
        self._uuid_publish = publish
        self._uuid_subscribe = subscribe
        self._uuid_unsubscribe = unsubscribe

    def observe(self, observer: SessionObserver) -> None:
        self._observers.append(observer)

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        raise AssertionError(f"the mesh publishes nothing on plain topics: {topic}")

    def subscribe(
        self, pattern: str, callback: Callable[[str, bytes, bool], None]
    ) -> Callable[[], None]:
        raise AssertionError(f"the mesh subscribes to nothing: {pattern}")

    def deliver(self, session: Any, topic: str, payload: bytes, qos: int = 0) -> bool:
        if session.kicked is not None:
            return False
        session.frames.append((topic, json.loads(payload), qos))
        return True

    def resume(self, keys: Sequence[str]) -> None:
        for key in keys:
            for ask in self._parked.pop(key, []):
                ask()

    def settled(self, through: int) -> None:
        raise AssertionError("the app tells the broker what was settled")

    def kick(self, session: Any, reason: str) -> None:
        session.kicked = reason
        self._end(session, reason)

    def _end(self, session: MemorySession, reason: str) -> None:
        if session.will is not None:
            self.send(session, *session.will)
        for observer in self._observers:
            observer.closed(session, reason)

    def refused(self, session: Any, topic: str, reason: str) -> None:
        session.verdicts.append(Refused(reason))
