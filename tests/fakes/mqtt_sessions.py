"""Sessions without a broker: a host that notes who woke, and a journal whose commits a test decides."""

from collections.abc import Callable, Sequence

from gateway.mqtt.journal import KeptSubscription, NoJournal, SessionKey, Target
from gateway.mqtt.message import Message, Outgoing
from gateway.mqtt.outbound import Outbound
from gateway.mqtt.ports import Principal, PrincipalKind
from gateway.mqtt.queues import QueueBounds
from gateway.mqtt.session import MqttSession

USER = Principal(PrincipalKind.USER, "u")


class SlowJournal(NoJournal):
    """Notes what it is told; `commit` makes the open group durable."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 1
        self.through = 0
        self.notes: list[tuple[object, ...]] = []

    def commit(self) -> None:
        """Make everything noted durable."""
        self.through, self.number = self.number, self.number + 1
        self.on_durable(self.through)

    def _noted(self, *note: object) -> int:
        self.notes.append(note)
        return self.number

    def drop_session(self, sid: int) -> None:
        self._noted("drop", sid)

    def subscribe(self, sid: int, subscription: KeptSubscription) -> int:
        return self._noted("subscribe", sid, subscription)

    def unsubscribe(self, sid: int, pattern: str) -> int:
        return self._noted("unsubscribe", sid, pattern)

    def enqueue(self, message: Message, targets: Sequence[Target]) -> int:
        return self._noted("enqueue", message.payload, *targets)

    def release(self, sid: int, packet_id: int) -> int:
        return self._noted("release", sid, packet_id)

    def finish(self, sid: int, packet_id: int) -> None:
        self._noted("finish", sid, packet_id)

    def receive(self, sid: int, packet_id: int) -> int:
        return self._noted("receive", sid, packet_id)

    def forget(self, sid: int, packet_id: int) -> int:
        return self._noted("forget", sid, packet_id)

    def retain(self, message: Message, *, is_node: bool = False) -> int:
        number = self._noted("retain", message.topic, message.payload, is_node)
        return number if message.qos and not is_node else 0

    def will(self, key: SessionKey, message: Message | None, delay_s: int = 0) -> None:
        self._noted("will", key.client_id, message.payload if message else None)


class FakeHost:
    """Matches `outbound.Host`."""

    def __init__(self, bounds: QueueBounds | None = None) -> None:
        self.journal = SlowJournal()
        self.bounds = bounds or QueueBounds()
        self.clock = 0.0
        self.now: Callable[[], float] = lambda: self.clock
        self.woken: list[Outbound] = []
        self.held: set[Outbound] = set()

    def wake(self, session: Outbound) -> None:
        session.is_dirty = True
        self.woken.append(session)


def message(topic: str = "t", payload: bytes = b"x", qos: int = 1, **fields: object) -> Message:
    return Message(topic, topic.encode(), payload, qos, **fields)  # type: ignore[arg-type]


def outgoing(payload: bytes = b"x", flags: int = 1, **fields: object) -> Outgoing:
    return message(payload=payload, qos=flags & 3, **fields), flags, b""


def made(host: FakeHost | None = None, version: int = 4) -> tuple[MqttSession, list[bytes]]:
    """Return a connected session and what is written to its client."""
    session = MqttSession(USER, "c", host or FakeHost())
    session.version = version
    written: list[bytes] = []
    session.attached(written.append)
    return session, written
