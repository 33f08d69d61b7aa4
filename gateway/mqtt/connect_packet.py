"""CONNECT and its answer, in every version of MQTT that is spoken."""

from dataclasses import dataclass, field

from gateway.mqtt import properties as props
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import PROTOCOL_ERROR, violation
from gateway.mqtt.wire import binary, length, string, topic_name

ACCEPTED, BAD_VERSION, BAD_CLIENT_ID, UNAVAILABLE, BAD_LOGIN, NOT_AUTHORISED = range(6)  # CONNACK

DIALECTS = {(b"MQIsdp", 3), (b"MQIsdp", 4), (b"MQTT", 4), (b"MQTT", 5)}
NAMES = {b"MQIsdp", b"MQTT"}

FOR_EVER_S = 0xFFFF_FFFF
"""Session expiry interval of a session that does not expire (MQTT 5.0, 3.1.2.11.2)."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes when a client goes without saying so."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int
    retain: bool
    delay_s: int = 0
    properties: bytes = b""  # what is forwarded, encoded, without length
    expiry_s: int | None = None


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT that may be judged. Versions 3 and 4 fill what only MQTT 5 says with what it means for them."""

    client_id: str  # "": the broker makes one up
    clean_start: bool  # versions 3 and 4: clean session
    keep_alive_s: int
    will: Will | None
    username: str | None
    password: bytes | None = field(repr=False)
    version: int = 4
    expiry_s: int = 0  # how long the session outlives its connection
    receive_maximum: int = 0xFFFF
    most_packet_bytes: int | None = None
    alias_maximum: int = 0
    request_problem_information: bool = True
    request_response_information: bool = False
    user_properties: tuple[tuple[str, str], ...] = ()
    auth_method: str | None = None
    auth_data: bytes | None = field(default=None, repr=False)


def connect_version(data: bytes, body: int, end: int) -> int:
    """Return the version (4 or 5) in which to answer a CONNECT that may be malformed or from the future."""
    at = body + 6
    is_mqtt = data[body:at] == b"\0\4MQTT"
    # A level with 0x80 is a bridge of mosquitto's asking in 3.1 or 3.1.1: it goes on without after code 1 alone.
    return 5 if is_mqtt and at < end and 5 <= data[at] < 0x80 else 4


def parse_connect(data: bytes, body: int, end: int) -> Connect | int:
    """Return what a CONNECT says, or the CONNACK code (1 version, 2 client id) that refuses it."""
    name, at = binary(data, body, end)
    if name not in NAMES:
        raise violation("not an MQTT CONNECT")
    if at + 4 > end:
        raise violation("a CONNECT cut short")
    level, flags = data[at], data[at + 1]
    if (name, level) not in DIALECTS:
        return BAD_VERSION
    _check_flags(flags, level)
    keep_alive_s = data[at + 2] << 8 | data[at + 3]
    at += 4
    said: Properties = {}
    if level == 5:
        said, at = props.parse(data, at, end, props.IN_CONNECT)
    client_id, at = string(data, at, end)
    will, at = _parse_will(data, at, end, flags, level)
    username: str | None = None
    password: bytes | None = None
    if flags & 0x80:
        username, at = string(data, at, end)
    if flags & 0x40:
        password, at = binary(data, at, end)
    if at != end:
        raise violation("a CONNECT with bytes left over")
    clean = bool(flags & 0x02)
    if level == 5:
        return _connect5(Connect(client_id, clean, keep_alive_s, will, username, password, 5), said)
    if not client_id and (level == 3 or not clean):
        return BAD_CLIENT_ID
    expiry_s = 0 if clean else FOR_EVER_S
    return Connect(client_id, clean, keep_alive_s, will, username, password, level, expiry_s)


def _connect5(plain: Connect, said: Properties) -> Connect:
    """Return a CONNECT with what its properties say (3.1.2.11)."""
    if props.AUTHENTICATION_DATA in said and props.AUTHENTICATION_METHOD not in said:
        raise violation("authentication data without a method", PROTOCOL_ERROR)
    get = said.get
    return Connect(
        plain.client_id,
        plain.clean_start,
        plain.keep_alive_s,
        plain.will,
        plain.username,
        plain.password,
        5,
        get(props.SESSION_EXPIRY, 0),
        get(props.RECEIVE_MAXIMUM, 0xFFFF),
        get(props.MAXIMUM_PACKET_SIZE),
        get(props.TOPIC_ALIAS_MAXIMUM, 0),
        bool(get(props.REQUEST_PROBLEM_INFORMATION, 1)),
        bool(get(props.REQUEST_RESPONSE_INFORMATION, 0)),
        tuple(get(props.USER_PROPERTY, ())),
        get(props.AUTHENTICATION_METHOD),
        get(props.AUTHENTICATION_DATA),
    )


def _check_flags(flags: int, level: int) -> None:
    """Judge the connect flags by 3.1.2.3 to 3.1.2.9 of both standards."""
    if flags & 0x01:
        raise violation("CONNECT with its reserved flag set")
    will_qos = flags >> 3 & 3
    if will_qos == 3 or (not flags & 0x04 and flags & 0x38):
        raise violation("CONNECT with impossible will flags")
    if flags & 0x40 and not flags & 0x80 and level < 5:  # MQTT 5 lets a password stand alone
        raise violation("CONNECT with a password but no user name")


def _parse_will(data: bytes, at: int, end: int, flags: int, level: int) -> tuple[Will | None, int]:
    if not flags & 0x04:
        return None, at
    said: Properties = {}
    if level == 5:
        said, at = props.parse(data, at, end, props.IN_WILL)
    raw, at = binary(data, at, end)
    payload, at = binary(data, at, end)
    delay_s = said.pop(props.WILL_DELAY, 0)
    expiry_s = said.pop(props.MESSAGE_EXPIRY, None)
    forward = props.encode_bare(said)
    qos, retain = flags >> 3 & 3, bool(flags & 0x20)
    return Will(topic_name(raw), payload, qos, retain, delay_s, forward, expiry_s), at


def connack(
    code: int, *, is_present: bool = False, version: int = 4, properties: Properties | None = None
) -> bytes:
    """Return a CONNACK; `code` is a return code, for version 5 a reason code."""
    if version < 5:  # MQTT 3.1 has no session present: the byte is reserved
        return bytes((0x20, 2, is_present and version > 3, code))
    said = props.encode(properties) if properties else b"\0"
    return b"\x20" + length(2 + len(said)) + bytes((is_present, code)) + said
