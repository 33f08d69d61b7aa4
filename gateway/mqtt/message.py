"""One application message on its way through the broker, shared by all who receive it."""

from collections.abc import Hashable

QOS_BITS = 3
RETAIN_FLAG = 4
"""`flags` of an `Outgoing`: QoS in the two lowest bits, plus this when the receiver is to see RETAIN set."""


class Message:
    """An application message; immutable once made (a plain class with slots: it is made for every publish).

    `properties` are the MQTT 5 properties that a server must forward unaltered (payload format, content type,
    response topic, correlation data, user properties), encoded as they stand in a packet, without their length
    and without the message expiry interval, which is counted down to `expires_at` on the broker's clock (s).
    """

    __slots__ = (
        "expires_at",
        "head",
        "origin",
        "payload",
        "properties",
        "qos",
        "raw",
        "retain",
        "topic",
    )

    def __init__(  # noqa: PLR0913 - the fields of one record; a dict or a builder would cost per message
        self,
        topic: str,
        raw: bytes,
        payload: bytes,
        qos: int = 0,
        *,
        retain: bool = False,
        properties: bytes = b"",
        expires_at: float | None = None,
        origin: Hashable = None,
    ) -> None:
        """`raw` is the topic as bytes; `origin` is who published it, for the option No Local."""
        self.topic = topic
        self.raw = raw
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.expires_at = expires_at
        self.origin = origin
        self.head = b""  # of a QoS 1 packet of MQTT 3, once somebody needed it


class SharedOutgoing(tuple[Message, int, bytes]):  # noqa: SLOT001 - a tuple with slots cannot have an attribute
    """An `Outgoing` that went to one member of a shared subscription for all of them."""

    group: Hashable = None


Outgoing = tuple[Message, int, bytes]
"""(message, flags, subscription identifiers as encoded MQTT 5 properties): what one delivery sends."""
