"""Fields: read within their packet or not at all."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import wire
from gateway.mqtt.reasons import ProtocolViolation

READERS = [
    wire.one_byte,
    wire.two_bytes,
    wire.four_bytes,
    wire.variable,
    wire.binary,
    wire.string,
]


@given(st.integers(0, wire.LARGEST_VARIABLE), st.binary(max_size=3))
def test_a_variable_byte_integer_is_read_as_written(value: int, after: bytes) -> None:
    raw = wire.length(value)
    assert wire.variable(raw + after, 0, len(raw) + len(after)) == (value, len(raw))


@pytest.mark.parametrize(
    "raw", [b"\x80\x00", b"\xff\x80\x00", b"\xff\xff\xff\xff\x01", b"\x80", b""]
)
def test_a_variable_byte_integer_too_long_or_cut_is_malformed(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        wire.variable(raw, 0, len(raw))
    assert caught.value.reason == 0x81


@given(st.binary(max_size=12), st.integers(0, 12), st.integers(0, 12))
@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_no_reader_looks_past_the_end(
    read: Callable[[bytes, int, int], tuple[object, int]], raw: bytes, at: int, end: int
) -> None:
    at, end = sorted((min(at, len(raw)), min(end, len(raw))))
    try:
        value, stop = read(raw, at, end)
    except ProtocolViolation:
        return
    assert at < stop <= end
    assert read(raw[:end], at, end) == (value, stop)


@given(st.binary(max_size=300))
def test_bytes_are_read_as_written(raw: bytes) -> None:
    field = wire.with_length(raw)
    assert wire.binary(field, 0, len(field)) == (raw, len(field))


@pytest.mark.parametrize("raw", [b"\xff", b"a\0b", b"\xed\xa0\x80", b"\xc0\x80"])
def test_a_string_that_mqtt_forbids_is_malformed(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        wire.text(raw)


def test_a_zero_width_space_is_kept_where_it_stands() -> None:
    assert wire.text(b"\xef\xbb\xbfa") == "\ufeffa"  # [MQTT-1.5.4-3]


@pytest.mark.parametrize("raw", [b"", b"a/+", b"#", b"a#b"])
def test_a_topic_is_neither_empty_nor_a_filter(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        wire.topic_name(raw)


@pytest.mark.parametrize("raw", [b"", b"\1", b"\0\0"])
def test_a_packet_id_is_there_and_not_0(raw: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        wire.packet_id(raw, 0, len(raw))
