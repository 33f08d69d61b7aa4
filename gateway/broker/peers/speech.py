"""What is said to another broker in each dialect of MQTT, in paho's words, and what its answers mean."""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from gateway.broker.peers.refusals import Dial
from gateway.broker.peers.rules import Wanted
from gateway.mqtt import properties as props
from gateway.mqtt.client_packets import PublishPacket
from gateway.runtime.paho_loop import ready_client

if TYPE_CHECKING:
    from paho.mqtt.client import Client

KEPT_S = 7 * 86_400
WINDOW = 20  # what an MQTT 3.1.1 broker is sent unacknowledged: mosquitto's own habit
MOST_WINDOW = 100  # what our own broker has on its way to one client
INBOUND_WINDOW = 100  # announced to an MQTT 5 broker
IF_NEW = 1  # retain handling (MQTT 5.0, 3.8.3.1)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to speak: `is_bridge` asks an MQTT 3.1.1 broker (mosquitto, others) for No Local, and RETAIN as published."""

    version: int
    is_bridge: bool = False


V5, BRIDGE, PLAIN = Dialect(5), Dialect(4, is_bridge=True), Dialect(4)
DIALECTS = {"auto": (V5, BRIDGE, PLAIN), "5": (V5,), "3.1.1": (BRIDGE, PLAIN)}


@dataclass(frozen=True, slots=True)
class Peer:
    """What the other broker said in its CONNACK, with what the standard assumes otherwise."""

    dialect: Dialect
    is_present: bool  # it has our session
    window: int = WINDOW
    most_bytes: int = 0  # 0: any
    most_qos: int = 2
    may_retain: bool = True

    @property
    def returns_own(self) -> bool:
        """Return whether it sends a client its own messages."""
        return self.dialect == PLAIN


def peer_of(dialect: Dialect, said: Any, *, is_present: bool) -> Peer:
    """Return what a CONNACK says; `said` are its properties as paho has them."""
    if dialect.version < 5:
        return Peer(dialect, is_present)
    return Peer(
        dialect,
        is_present,
        window=min(getattr(said, "ReceiveMaximum", 0xFFFF), MOST_WINDOW),
        most_bytes=getattr(said, "MaximumPacketSize", 0),
        most_qos=getattr(said, "MaximumQoS", 2),
        may_retain=bool(getattr(said, "RetainAvailable", 1)),
    )


def client_of(dial: Dial, dialect: Dialect, sock: Any) -> "Client":
    """Return a paho client for a socket that is ready."""
    from paho.mqtt.enums import MQTTProtocolVersion  # noqa: PLC0415 - only a node with a bridge pays
    from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415

    is_v5 = dialect.version == 5
    client = ready_client(
        sock,
        client_id=dial.client_id,
        clean_session=None if is_v5 else not dial.is_kept,
        protocol=MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311,
        manual_ack=True,
    )
    if dialect.is_bridge:
        client.enable_bridge_mode()
    client.max_inflight_messages_set(MOST_WINDOW)  # the near end's receive maximum keeps it smaller
    if dial.username is not None:
        client.username_pw_set(dial.username, dial.password)
    if dial.state_topic is not None:
        client.will_set(dial.state_topic, b"0", 0, retain=True)
    if is_v5:
        asked = _properties(PacketTypes.CONNECT)
        asked.ReceiveMaximum = INBOUND_WINDOW
        asked.SessionExpiryInterval = KEPT_S if dial.is_kept else 0
        client.connect_async(
            dial.host,
            dial.port,
            dial.keep_alive_s,
            clean_start=not dial.is_kept,
            properties=asked,
        )
    else:
        client.connect_async(dial.host, dial.port, dial.keep_alive_s)
    return client


def options_of(wanted: Wanted) -> Any:
    """Return the MQTT 5 options of a subscription, as paho has them."""
    from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: PLC0415

    return SubscribeOptions(
        qos=wanted.qos,
        noLocal=True,
        retainAsPublished=True,
        retainHandling=IF_NEW if wanted.is_both else 0,
    )


def packet_of(message: Any) -> PublishPacket:
    """Return a message that paho received; raises ProtocolViolation, UnicodeDecodeError."""
    said: props.Properties = {}
    if message.properties is not None and not message.properties.isEmpty():
        raw = message.properties.pack()
        said, _ = props.parse(raw, 0, len(raw), props.IN_DELIVERY)
        said.pop(props.SUBSCRIPTION_IDENTIFIER, None)
        said.pop(props.TOPIC_ALIAS, None)
    return PublishPacket(
        message.topic,
        bytes(message.payload),
        message.qos,
        retain=bool(message.retain),
        number=message.mid,
        properties=said,
    )


def words_of(properties: props.Properties) -> Any:
    """Return the properties of a PUBLISH as paho has them; not to be changed."""
    return _words(props.encode(properties))


@lru_cache(maxsize=64)  # most messages say the same: that they passed this gateway
def _words(raw: bytes) -> Any:
    from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415

    found = _properties(PacketTypes.PUBLISH)
    found.unpack(raw)
    return found


def _properties(packet_type: int) -> Any:
    from paho.mqtt.properties import Properties  # noqa: PLC0415

    return cast("Any", Properties)(packet_type)
