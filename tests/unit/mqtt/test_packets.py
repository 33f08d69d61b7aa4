"""Packets: strict in what they accept, the same however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedFrameError
from gateway.mqtt import packets
from tests.fakes.mqtt_broker import connect, packet, publish, subscribe, text

LIMIT = 1 << 20


def parsed(raw: bytes) -> packets.Connect | int:
    frames, _, _ = packets.split(raw, LIMIT)
    _, _, body, end = frames[0]
    return packets.parse_connect(raw, body, end)


@pytest.mark.parametrize(("name", "level"), [("MQIsdp", 3), ("MQIsdp", 4), ("MQTT", 4)])
def test_the_three_dialects_are_understood(name: str, level: int) -> None:
    asked = parsed(connect("u", "id", name=name, level=level, keep_alive=10))
    assert isinstance(asked, packets.Connect)
    assert (asked.client_id, asked.username, asked.password) == ("id", "u", b"secret")
    assert asked.keep_alive_s == 10
    assert asked.clean_start


@pytest.mark.parametrize(
    ("name", "level"), [("MQTT", 6), ("MQTT", 3), ("MQIsdp", 5), ("MQIsdp", 0x83)]
)
def test_another_version_is_refused_with_code_1(name: str, level: int) -> None:
    assert parsed(connect("u", name=name, level=level)) == packets.BAD_VERSION


@pytest.mark.parametrize(
    "raw", [connect("u", "", clean=False), connect("u", "", name="MQIsdp", level=3)]
)
def test_an_empty_client_id_without_clean_session_is_refused_with_code_2(raw: bytes) -> None:
    assert parsed(raw) == packets.BAD_CLIENT_ID


def test_a_will_is_read() -> None:
    asked = parsed(connect("u", will=("gone", b"bye", 0x28)))
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


@given(st.text(min_size=1, max_size=40), st.binary(max_size=200))
def test_publishes_are_written_as_the_standard_says(topic: str, payload: bytes) -> None:
    raw = topic.encode("utf-8", "ignore")
    assert packets.publish0(raw, payload) == publish(raw, payload)
    head = packets.head1(raw, len(payload))
    assert head + b"\0\x07" + payload == publish(raw, payload, 1, 7)


def test_a_subscribe_lists_its_filters() -> None:
    raw = subscribe("a/#", "b", qos=2, number=9)
    assert packets.parse_subscribe(raw, 2, len(raw), 4) == (9, [("a/#", 2), ("b", 2)], 0)


BROKEN_SUBSCRIBES = {
    "no filter": packet(0x82, b"\0\1"),
    "no id": packet(0x82, b"\0"),
    "id 0": subscribe("a", number=0),
    "QoS 3": subscribe("a", qos=3),
    "no QoS": packet(0x82, b"\0\1" + text("a")),
    "empty filter": subscribe(""),
    "NUL": subscribe("a\0b"),
    "not UTF-8": subscribe(b"\xff"),
    "a surrogate": subscribe(b"\xed\xa0\x80"),
}


@pytest.mark.parametrize("raw", BROKEN_SUBSCRIBES.values(), ids=BROKEN_SUBSCRIBES.keys())
def test_a_broken_subscribe_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedFrameError):
        packets.parse_subscribe(raw, 2, len(raw), 4)


def test_an_unsubscribe_without_filter_is_malformed() -> None:
    with pytest.raises(MalformedFrameError):
        packets.parse_unsubscribe(b"\xa2\x02\0\1", 2, 4, 4)
