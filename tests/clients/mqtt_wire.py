"""What the matrix asks of every MQTT client, whoever made it: the same few verbs, and what it saw in one shape."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

SECONDS = 20.0
"""How long a client may take for one step; two cores run everything."""

V31, V311, V5 = 3, 4, 5
NAMES = {V31: "3.1", V311: "3.1.1", V5: "5.0"}
TRANSPORTS = {
    "tcp": "TCP",
    "tls": "TLS",
    "ws": "WebSocket",
    "wss": "WebSocket with TLS",
    "unix": "Unix socket",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a broker is, and who comes."""

    port: int = 0
    user: str = "tester"
    password: str = "secret"
    transport: str = "tcp"  # one of TRANSPORTS
    ca: Path | None = None  # the certificate that TLS is checked against
    socket: Path | None = None
    path: str = "/mqtt"  # of WebSockets
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as sent, or as received; the properties exist from MQTT 5 on."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    user: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_s: int | None = None
    identifiers: tuple[int, ...] = ()  # of the subscriptions it came by; received only


@dataclass(frozen=True, slots=True)
class Session:
    """What a CONNECT asks for."""

    client_id: str
    version: int = V311
    clean: bool = True
    expiry_s: int = 0  # MQTT 5; older versions keep what is not clean
    will: Message | None = None
    will_delay_s: int = 0
    receive_maximum: int | None = None
    alias_maximum: int = 0


@dataclass(frozen=True, slots=True)
class Want:
    """One filter of a SUBSCRIBE; all but the first two exist from MQTT 5 on."""

    pattern: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    identifier: int = 0


@dataclass(slots=True)
class Seen:
    """What a client noticed; `closed` is set when its connection ended, by whomever."""

    messages: list[Message] = field(default_factory=list)
    is_present: bool = False
    closed: asyncio.Event = field(default_factory=asyncio.Event)


class RefusedError(Exception):
    """The broker's CONNACK said no; `code` is the return or reason code where the client tells it."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"refused: {code}")
        self.code = code


class Client(Protocol):
    """An MQTT client of some maker; one object is one connection."""

    name: ClassVar[str]
    title: ClassVar[str]
    """How the README calls it."""
    versions: ClassVar[tuple[int, ...]]
    transports: ClassVar[frozenset[str]]
    can: ClassVar[frozenset[str]]
    """What not every client can: tell `present` (session present), `stays away` (no reconnect by itself), and of
    MQTT 5 `options` and `identifiers` of subscriptions, `properties`, `expiry` of messages, `aliases`."""

    seen: Seen

    def __init__(self, target: Target, session: Session) -> None:
        """Prepare; nothing is sent yet."""
        ...

    async def open(self) -> None:
        """Connect; raises RefusedError."""
        ...

    async def subscribe(self, want: Want) -> int:
        """Return the code in SUBACK."""
        ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send in this order; returns when all that want an acknowledgement have it."""
        ...

    async def close(self) -> None:
        """Leave as a client should; harmless after `cut`."""
        ...

    async def cut(self) -> None:
        """End the connection without a DISCONNECT."""
        ...


def plain(message: Any) -> tuple[str, bytes]:
    """Return what every version carries."""
    return message.topic, bytes(message.payload)
