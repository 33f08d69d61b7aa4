"""What each engine can do: the marks of the contract suite, from which the README's table is made."""

from collections.abc import Mapping
from enum import StrEnum


class Capability(StrEnum):
    """A part of the broker's contract; `tests/contract/test_broker_*.py` has tests for each."""

    CORE = "core"
    COMMANDS = "commands"
    PROTOCOL_5 = "mqtt5"
    DELIVERY_ACL = "delivery_acl"
    DEFER_ACK = "defer_ack"
    MESH = "mesh"
    DURABLE = "durable"


MEANINGS: Mapping[Capability, str] = {
    Capability.CORE: "MQTT 3.1.1 for users: plain topics, wills, retained messages, QoS 0, 1 and 2",
    Capability.COMMANDS: "what a user writes to `devices/<slug>/set` reaches the device",
    Capability.PROTOCOL_5: "MQTT 5.0",
    Capability.DELIVERY_ACL: "each delivery is judged, also of retained messages and wills",
    Capability.DEFER_ACK: "an acknowledgement waits until the message is safe",
    Capability.MESH: "the Meshblu dialect: request topics, uuids, `MQIsdp` at level 4; devices and children",
    Capability.DURABLE: "sessions, what they wait for and retained messages outlive a power cut",
}

OWN = frozenset(Capability)
AMQTT = frozenset({Capability.CORE, Capability.COMMANDS})

ENGINES: Mapping[str, frozenset[Capability]] = {"own": OWN, "amqtt": AMQTT}
"""Name in `mqtt.engine` -> what it promises; the contract suite holds it to exactly this."""
