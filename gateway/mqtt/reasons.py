"""MQTT 5 reason codes, and the error that carries one to whoever closes the connection (MQTT 5.0, 2.4 and 4.13)."""

from gateway.errors import MalformedFrameError

SUCCESS = 0x00
NORMAL_DISCONNECTION = 0x00
GRANTED_QOS_0, GRANTED_QOS_1, GRANTED_QOS_2 = 0x00, 0x01, 0x02
DISCONNECT_WITH_WILL = 0x04
NO_MATCHING_SUBSCRIBERS = 0x10
NO_SUBSCRIPTION_EXISTED = 0x11
CONTINUE_AUTHENTICATION = 0x18
REAUTHENTICATE = 0x19
UNSPECIFIED_ERROR = 0x80
MALFORMED_PACKET = 0x81
PROTOCOL_ERROR = 0x82
IMPLEMENTATION_SPECIFIC_ERROR = 0x83
UNSUPPORTED_PROTOCOL_VERSION = 0x84
CLIENT_IDENTIFIER_NOT_VALID = 0x85
BAD_USER_NAME_OR_PASSWORD = 0x86
NOT_AUTHORIZED = 0x87
SERVER_UNAVAILABLE = 0x88
SERVER_BUSY = 0x89
BANNED = 0x8A
SERVER_SHUTTING_DOWN = 0x8B
BAD_AUTHENTICATION_METHOD = 0x8C
KEEP_ALIVE_TIMEOUT = 0x8D
SESSION_TAKEN_OVER = 0x8E
TOPIC_FILTER_INVALID = 0x8F
TOPIC_NAME_INVALID = 0x90
PACKET_IDENTIFIER_IN_USE = 0x91
PACKET_IDENTIFIER_NOT_FOUND = 0x92
RECEIVE_MAXIMUM_EXCEEDED = 0x93
TOPIC_ALIAS_INVALID = 0x94
PACKET_TOO_LARGE = 0x95
MESSAGE_RATE_TOO_HIGH = 0x96
QUOTA_EXCEEDED = 0x97
ADMINISTRATIVE_ACTION = 0x98
PAYLOAD_FORMAT_INVALID = 0x99
RETAIN_NOT_SUPPORTED = 0x9A
QOS_NOT_SUPPORTED = 0x9B
USE_ANOTHER_SERVER = 0x9C
SERVER_MOVED = 0x9D
SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
CONNECTION_RATE_EXCEEDED = 0x9F
MAXIMUM_CONNECT_TIME = 0xA0
SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

RECEIVED_REASONS = frozenset({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
"""What PUBACK and PUBREC may say (3.4.2.1, 3.5.2.1)."""
RELEASED_REASONS = frozenset({SUCCESS, PACKET_IDENTIFIER_NOT_FOUND})
"""What PUBREL and PUBCOMP may say (3.6.2.1, 3.7.2.1)."""
ACK_REASONS = RECEIVED_REASONS | RELEASED_REASONS
LEAVE_REASONS = frozenset(
    {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99}
)
"""What a client's DISCONNECT may say (3.14.2.1)."""

_TO_V3 = {
    SUCCESS: 0,
    UNSUPPORTED_PROTOCOL_VERSION: 1,
    CLIENT_IDENTIFIER_NOT_VALID: 2,
    BAD_USER_NAME_OR_PASSWORD: 4,
    NOT_AUTHORIZED: 5,
    BANNED: 5,
    BAD_AUTHENTICATION_METHOD: 5,
}
_TO_V5 = (
    SUCCESS,
    UNSUPPORTED_PROTOCOL_VERSION,
    CLIENT_IDENTIFIER_NOT_VALID,
    SERVER_BUSY,
    BAD_USER_NAME_OR_PASSWORD,
    NOT_AUTHORIZED,
)


class ProtocolViolation(MalformedFrameError):  # noqa: N818 - the specification's own word
    """A packet that the standard forbids: its connection is closed, and an MQTT 5 client is told `reason`."""

    def __init__(self, text: str, *, code: str, hint: str, reason: int) -> None:
        super().__init__(text, code=code, hint=hint)
        self.reason = reason


def violation(text: str, reason: int = MALFORMED_PACKET) -> ProtocolViolation:
    """Return the error that closes a connection."""
    return ProtocolViolation(
        text, code="GW-1101", hint="update or replace this MQTT client", reason=reason
    )


def connack_v3(reason: int) -> int:
    """Return the MQTT 3.1.1 return code of a CONNACK for an MQTT 5 reason; 3 (unavailable) where it has none."""
    return _TO_V3.get(reason, 3)


def connack_v5(code: int) -> int:
    """Return the MQTT 5 reason of a CONNACK for an MQTT 3.1.1 return code; 0x80 for one that does not exist."""
    return _TO_V5[code] if 0 <= code < len(_TO_V5) else UNSPECIFIED_ERROR
