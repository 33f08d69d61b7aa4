"""Packets: strict in what they accept, the same however the bytes are cut."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedFrameError
from gateway.mqtt import packets
from gateway.mqtt import properties as props
from gateway.mqtt.reasons import (
    ACK_REASONS,
    RECEIVED_REASONS,
    RELEASED_REASONS,
    ProtocolViolation,
)
from tests.fakes.raw_packets import RawWill, connect, packet, subscribe, text

LIMIT = 1 << 20


def parsed(raw: bytes) -> packets.Connect | int:
    frames, _, _ = packets.split(raw, LIMIT)
    _, _, body, end = frames[0]
    return packets.parse_connect(raw, body, end)


@pytest.mark.parametrize(("name", "level"), [("MQIsdp", 3), ("MQIsdp", 4), ("MQTT", 4)])
def test_the_three_dialects_are_understood(name: str, level: int) -> None:
    asked = parsed(connect("id", user="u", name=name, level=level, keep_alive=10))
    assert isinstance(asked, packets.Connect)
    assert (asked.client_id, asked.username, asked.password) == ("id", "u", b"secret")
    assert asked.keep_alive_s == 10
    assert asked.clean_start


@pytest.mark.parametrize(
    ("name", "level"), [("MQTT", 6), ("MQTT", 3), ("MQIsdp", 5), ("MQIsdp", 0x83)]
)
def test_another_version_is_refused_with_code_1(name: str, level: int) -> None:
    assert parsed(connect(name=name, level=level)) == packets.BAD_VERSION


@pytest.mark.parametrize("raw", [connect("", clean=False), connect("", version=3)])
def test_an_empty_client_id_without_clean_session_is_refused_with_code_2(raw: bytes) -> None:
    assert parsed(raw) == packets.BAD_CLIENT_ID


def test_a_will_is_read() -> None:
    asked = parsed(connect(will=RawWill("gone", b"bye", 1, retain=True)))
    assert isinstance(asked, packets.Connect)
    assert asked.will == packets.Will("gone", b"bye", 1, retain=True)


HEAD = text("MQTT") + b"\x04"
BROKEN_CONNECTS = {
    "another protocol": packet(0x10, text("HTTP") + b"\x04\x02\0\0" + text("a")),
    "reserved flag": packet(0x10, HEAD + b"\x03\0\0" + text("a")),
    "will QoS 3": packet(0x10, HEAD + b"\x1e\0\0" + text("a") + text("t") + text("p")),
    "will flags without will": packet(0x10, HEAD + b"\x22\0\0" + text("a")),
    "password without name": packet(0x10, HEAD + b"\x42\0\0" + text("a") + text("p")),
    "bytes left over": packet(0x10, HEAD + b"\x02\0\0" + text("a") + b"x"),
    "cut short": packet(0x10, HEAD + b"\x02"),
    "no client id": packet(0x10, HEAD + b"\x02\0\0"),
    "client id not UTF-8": packet(0x10, HEAD + b"\x02\0\0" + text(b"\xff")),
    "will topic with wildcard": packet(0x10, HEAD + b"\x06\0\0" + text("a") + text("#") + text("")),
}


@pytest.mark.parametrize("raw", BROKEN_CONNECTS.values(), ids=BROKEN_CONNECTS.keys())
def test_a_broken_connect_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        parsed(raw)


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_packets_are_the_same_however_the_bytes_are_cut(
    bodies: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(packet(0x30, body) for body in bodies)
    cut = data.draw(st.integers(0, len(stream)))
    found: list[bytes] = []
    rest = b""
    for chunk in (stream[:cut], stream[cut:]):
        rest += chunk
        frames, used, need = packets.split(rest, LIMIT)
        found += [rest[body:end] for _, _, body, end in frames]
        rest = rest[used:]
        assert not rest or need > len(rest)
    assert found == bodies


@given(st.binary(max_size=200))
def test_garbage_never_raises_out_of_split(raw: bytes) -> None:
    frames, used, _ = packets.split(raw, 64)
    assert 0 <= used <= len(raw)
    assert all(end <= len(raw) for _, _, _, end in frames)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x30\xff\xff\xff\xff\x01", packets.BAD_LENGTH),
        (b"\x30\x80\x00", packets.BAD_LENGTH),
        (b"\x30\xff\xff\xff\x7f", packets.TOO_LARGE),
    ],
)
def test_an_impossible_length_ends_the_list_with_a_marker(raw: bytes, why: int) -> None:
    good = packet(0xC0)
    frames, _, _ = packets.split(good + raw, LIMIT)
    assert frames[0][0] == 0xC0
    assert frames[-1] == (0, len(good), why, 0)


def test_a_packet_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert packets.split(packet(0x30, b"x" * 200), 200)[0][0][3] == 203
    assert packets.split(packet(0x30, b"x" * 201), 200)[0][0][3] == 0


@given(st.integers(0, 268_435_455))
def test_a_length_is_written_in_its_shortest_form(size: int) -> None:
    written = packets.length(size)
    assert len(written) == 1 + (size > 127) + (size > 16_383) + (size > 2_097_151)
    assert sum((byte & 127) << 7 * at for at, byte in enumerate(written)) == size


def test_a_subscribe_lists_its_filters() -> None:
    raw = subscribe(9, "a/#", "b", qos=2)
    assert packets.parse_subscribe(raw, 2, len(raw), 4) == (9, [("a/#", 2), ("b", 2)], 0)


BROKEN_SUBSCRIBES = {
    "no filter": packet(0x82, b"\0\1"),
    "no id": packet(0x82, b"\0"),
    "id 0": subscribe(0, "a"),
    "QoS 3": subscribe(1, "a", qos=3),
    "no QoS": packet(0x82, b"\0\1" + text("a")),
    "empty filter": subscribe(1, ""),
    "NUL": subscribe(1, "a\0b"),
    "not UTF-8": subscribe(1, b"\xff"),
    "a surrogate": subscribe(1, b"\xed\xa0\x80"),
}


@pytest.mark.parametrize("raw", BROKEN_SUBSCRIBES.values(), ids=BROKEN_SUBSCRIBES.keys())
def test_a_broken_subscribe_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        packets.parse_subscribe(raw, 2, len(raw), 4)


def test_an_unsubscribe_without_filter_is_malformed() -> None:
    with pytest.raises(MalformedFrameError):
        packets.parse_unsubscribe(b"\xa2\x02\0\1", 2, 4, 4)


CLIENT = text("a")
HEAD5 = text("MQTT") + b"\x05"
BROKEN_CONNECTS_5 = {
    "no properties": (HEAD5 + b"\x02\0\0" + CLIENT, 0x81),
    "reserved flag": (HEAD5 + b"\x03\0\0\0" + CLIENT, 0x81),
    "will QoS 3": (HEAD5 + b"\x1e\0\0\0" + CLIENT + b"\0" + text("t") + text("p"), 0x81),
    "will flags without will": (HEAD5 + b"\x22\0\0\0" + CLIENT, 0x81),
    "will without its properties": (HEAD5 + b"\x06\0\0\0" + CLIENT + text("t") + text("p"), 0x81),
    "a property of another packet": (HEAD5 + b"\x02\0\0\x02\x01\0" + CLIENT, 0x81),
    "a will's property in CONNECT": (HEAD5 + b"\x02\0\0\x05\x18\0\0\0\1" + CLIENT, 0x81),
    "receive maximum 0": (HEAD5 + b"\x02\0\0\x03\x21\0\0" + CLIENT, 0x82),
    "maximum packet size 0": (HEAD5 + b"\x02\0\0\x05\x27\0\0\0\0" + CLIENT, 0x82),
    "authentication data alone": (HEAD5 + b"\x02\0\0\x04\x16\0\1x" + CLIENT, 0x82),
    "session expiry twice": (HEAD5 + b"\x02\0\0\x0a" + b"\x11\0\0\0\1" * 2 + CLIENT, 0x82),
    "bytes left over": (HEAD5 + b"\x02\0\0\0" + CLIENT + b"x", 0x81),
}


@pytest.mark.parametrize(
    ("body", "reason"), BROKEN_CONNECTS_5.values(), ids=BROKEN_CONNECTS_5.keys()
)
def test_a_broken_connect_of_5_has_the_reason_of_the_standard(body: bytes, reason: int) -> None:
    raw = packet(0x10, body)
    with pytest.raises(ProtocolViolation) as caught:
        parsed(raw)
    assert caught.value.reason == reason
    assert packets.connect_version(raw, 2, len(raw)) == 5


def test_a_client_of_5_may_have_a_password_alone_and_no_client_id() -> None:
    asked = parsed(packet(0x10, HEAD5 + b"\x40\0\0\0" + text("") + text("token")))
    assert isinstance(asked, packets.Connect)
    assert (asked.client_id, asked.username, asked.password) == ("", None, b"token")
    assert not asked.clean_start
    assert asked.expiry_s == 0


def test_a_kept_session_of_3_1_1_never_expires_by_itself() -> None:
    asked = parsed(connect(clean=False))
    assert isinstance(asked, packets.Connect)
    assert asked.expiry_s == packets.FOR_EVER_S


@pytest.mark.parametrize(
    ("raw", "version"),
    [
        (packet(0x10, HEAD5), 5),
        (packet(0x10, text("MQTT") + b"\x06"), 5),  # answered in the newest form we know
        (packet(0x10, HEAD), 4),
        (packet(0x10, text("MQIsdp") + b"\x05"), 4),
        (packet(0x10, text("MQTT")), 4),
        (packet(0x10), 4),
    ],
)
def test_the_version_of_a_connect_is_guessed_from_its_first_bytes(raw: bytes, version: int) -> None:
    assert packets.connect_version(raw, 2, len(raw)) == version


SUBSCRIBES_5 = {
    "reserved bits": (b"\0\1\0" + text("a") + b"\x40", 0x81),
    "QoS 3": (b"\0\1\0" + text("a") + b"\x03", 0x82),
    "retain handling 3": (b"\0\1\0" + text("a") + b"\x30", 0x82),
    "no local on a shared one": (b"\0\1\0" + text("$share/g/a") + b"\x05", 0x82),
    "no filter": (b"\0\1\0", 0x82),
    "two identifiers": (b"\0\1\4\x0b\1\x0b\2" + text("a") + b"\0", 0x82),
    "identifier 0": (b"\0\1\2\x0b\0" + text("a") + b"\0", 0x82),
    "no properties": (b"\0\1", 0x81),
    "a reason string": (b"\0\1\4\x1f\0\1x" + text("a") + b"\0", 0x81),
    "no options": (b"\0\1\0" + text("a"), 0x81),
}


@pytest.mark.parametrize(("body", "reason"), SUBSCRIBES_5.values(), ids=SUBSCRIBES_5.keys())
def test_a_broken_subscribe_of_5_has_the_reason_of_the_standard(body: bytes, reason: int) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        packets.parse_subscribe(body, 0, len(body), 5)
    assert caught.value.reason == reason


@pytest.mark.parametrize("options", [0x04, 0x08, 0x10, 0x2E])
def test_the_options_of_5_are_returned_as_they_came_and_are_malformed_in_3_1_1(
    options: int,
) -> None:
    body = b"\0\1\0" + text("a") + bytes((options,))
    assert packets.parse_subscribe(body, 0, len(body), 5) == (1, [("a", options)], 0)
    old = body[:2] + body[3:]
    with pytest.raises(ProtocolViolation):
        packets.parse_subscribe(old, 0, len(old), 4)


def test_an_unsubscribe_of_5_without_filter_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolViolation) as caught:
        packets.parse_unsubscribe(b"\0\1\0", 0, 3, 5)
    assert caught.value.reason == 0x82


@given(
    st.sampled_from([0x40, 0x50, 0x62, 0x70]),
    st.integers(1, 0xFFFF),
    st.sampled_from(sorted(ACK_REASONS)),
    st.sampled_from([3, 4, 5]),
)
def test_an_acknowledgement_is_read_as_written(
    first: int, number: int, reason: int, version: int
) -> None:
    raw = packets.ack(first, number, reason, version)
    frames, _, _ = packets.split(raw, LIMIT)
    _, _, body, end = frames[0]
    told = reason if version == 5 else 0
    assert packets.parse_ack(raw, body, end, version) == (number, told)


ACKS_5 = {
    "unknown reason": (b"\0\1\x42", 0x82),
    "no id": (b"\0", 0x81),
    "id 0": (b"\0\0\0", 0x81),
    "bytes left over": (b"\0\1\0\0x", 0x81),
    "a property of another packet": (b"\0\1\0\2\1\1", 0x81),
    "two reason strings": (b"\0\1\0\x08" + b"\x1f\0\1a" * 2, 0x82),
}


@pytest.mark.parametrize(("body", "reason"), ACKS_5.values(), ids=ACKS_5.keys())
def test_a_broken_acknowledgement_of_5_has_the_reason_of_the_standard(
    body: bytes, reason: int
) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        packets.parse_ack(body, 0, len(body), 5)
    assert caught.value.reason == reason


def test_an_acknowledgement_of_5_may_explain_itself() -> None:
    body = b"\0\1\x87\x0b\x1f\0\1a\x26\0\1b\0\1c"
    assert packets.parse_ack(body, 0, len(body), 5, RECEIVED_REASONS) == (1, 0x87)
    with pytest.raises(ProtocolViolation):
        packets.parse_ack(body, 0, len(body), 5, RELEASED_REASONS)
    with pytest.raises(ProtocolViolation):
        packets.parse_ack(body, 0, len(body), 4)


@pytest.mark.parametrize(
    ("body", "version", "said"),
    [
        (b"", 4, (0, None)),
        (b"", 5, (0, None)),
        (b"\x04", 5, (4, None)),
        (b"\x00\x05\x11\0\0\0\x09", 5, (0, 9)),
        (b"\x00\x00", 4, None),
        (b"\x01", 5, None),  # no such reason
        (b"\x8b", 5, None),  # a server's
        (b"\x00\x04\x1c\0\1x", 5, None),  # a server reference from a client
        (b"\x00\x00x", 5, None),
    ],
)
def test_a_disconnect_says_why_and_for_how_long(
    body: bytes, version: int, said: tuple[int, int | None] | None
) -> None:
    if said is None:
        with pytest.raises(ProtocolViolation):
            packets.parse_disconnect(body, 0, len(body), version)
    else:
        assert packets.parse_disconnect(body, 0, len(body), version) == said


@given(st.binary(max_size=80), st.sampled_from([3, 4, 5]))
def test_any_bytes_are_a_packet_or_a_violation(raw: bytes, version: int) -> None:
    end = len(raw)
    reads: tuple[Callable[[], object], ...] = (
        lambda: packets.parse_connect(raw, 0, end),
        lambda: packets.parse_connect(HEAD5 + raw, 0, len(HEAD5) + end),
        lambda: packets.parse_subscribe(raw, 0, end, version),
        lambda: packets.parse_unsubscribe(raw, 0, end, version),
        lambda: packets.parse_ack(raw, 0, end, version),
        lambda: packets.parse_disconnect(raw, 0, end, version),
    )
    for read in reads:
        try:
            assert read() is not None
        except ProtocolViolation as error:
            assert error.reason in {0x81, 0x82}
    assert packets.connect_version(raw, 0, end) in {4, 5}


def test_a_connack_of_5_says_what_the_server_limits() -> None:
    assert packets.connack(0, version=5) == b"\x20\x03\0\0\0"
    raw = packets.connack(0, is_present=True, version=5, properties={props.RECEIVE_MAXIMUM: 9})
    assert raw == b"\x20\x06\1\0\3\x21\0\x09"
    assert packets.connack(3) == b"\x20\x02\0\3"


def test_an_unsuback_has_codes_in_5_only() -> None:
    assert packets.unsuback(7, b"\x00\x11", 5) == b"\xb0\x05\0\7\0\0\x11"
    assert packets.unsuback(7, b"\x00\x11") == b"\xb0\x02\0\7"
    assert packets.suback(7, b"\x01", 5) == b"\x90\x04\0\7\0\1"


def test_a_dismissal_says_why() -> None:
    assert packets.disconnect(0x8E) == b"\xe0\x01\x8e"
    assert packets.disconnect(0x9C, {props.SERVER_REFERENCE: "b"}) == b"\xe0\x06\x9c\x04\x1c\0\1b"
