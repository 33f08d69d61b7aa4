"""Properties: every one there and back, and each wrong one with the reason that the standard names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import properties as props
from gateway.mqtt.reasons import ProtocolViolation
from gateway.mqtt.wire import length, with_length

ALL = frozenset(props._TYPES)
words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
topics = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0+#"), min_size=1, max_size=20
)
flag, two, four = st.integers(0, 1), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)
VALUES: dict[int, st.SearchStrategy[Any]] = {
    props.PAYLOAD_FORMAT: flag,
    props.MESSAGE_EXPIRY: four,
    props.CONTENT_TYPE: words,
    props.RESPONSE_TOPIC: topics,
    props.CORRELATION_DATA: st.binary(max_size=30),
    props.SUBSCRIPTION_IDENTIFIER: st.lists(st.integers(1, 268_435_455), min_size=1, max_size=3),
    props.SESSION_EXPIRY: four,
    props.ASSIGNED_CLIENT_ID: words,
    props.SERVER_KEEP_ALIVE: two,
    props.AUTHENTICATION_METHOD: words,
    props.AUTHENTICATION_DATA: st.binary(max_size=30),
    props.REQUEST_PROBLEM_INFORMATION: flag,
    props.WILL_DELAY: four,
    props.REQUEST_RESPONSE_INFORMATION: flag,
    props.RESPONSE_INFORMATION: words,
    props.SERVER_REFERENCE: words,
    props.REASON_STRING: words,
    props.RECEIVE_MAXIMUM: st.integers(1, 0xFFFF),
    props.TOPIC_ALIAS_MAXIMUM: two,
    props.TOPIC_ALIAS: st.integers(1, 0xFFFF),
    props.MAXIMUM_QOS: flag,
    props.RETAIN_AVAILABLE: flag,
    props.USER_PROPERTY: st.lists(st.tuples(words, words), min_size=1, max_size=3),
    props.MAXIMUM_PACKET_SIZE: st.integers(1, 0xFFFF_FFFF),
    props.WILDCARDS_AVAILABLE: flag,
    props.IDENTIFIERS_AVAILABLE: flag,
    props.SHARED_AVAILABLE: flag,
}
everything = st.fixed_dictionaries({}, optional=VALUES)
of_a_publish = st.fixed_dictionaries({}, optional={one: VALUES[one] for one in props.IN_PUBLISH})


def with_size(raw: bytes) -> bytes:
    return length(len(raw)) + raw


def reason_of(raw: bytes, allowed: frozenset[int] = ALL) -> int:
    with pytest.raises(ProtocolViolation) as caught:
        props.parse(raw, 0, len(raw), allowed)
    return caught.value.reason


def test_every_identifier_of_the_standard_is_known() -> None:
    assert set(VALUES) == ALL
    assert len(ALL) == 27  # MQTT 5.0, table 2-4


@given(everything, st.binary(max_size=3))
def test_properties_are_read_as_written(said: props.Properties, after: bytes) -> None:
    raw = props.encode(said)
    assert props.parse(raw + after, 0, len(raw) + len(after), ALL) == (said, len(raw))


@given(st.binary(max_size=60))
def test_any_bytes_are_properties_or_a_violation(raw: bytes) -> None:
    for read in (
        lambda: props.parse(raw, 0, len(raw), ALL),
        lambda: props.parse_publish(raw, 0, len(raw)),
    ):
        try:
            _, at = read()
        except ProtocolViolation as error:
            assert error.reason in {0x81, 0x82, 0x94}
        else:
            assert 0 < at <= len(raw)


@given(everything, st.data())
def test_properties_cut_short_are_malformed(said: props.Properties, data: st.DataObject) -> None:
    raw = props.encode_bare(said)
    whole = length(len(raw)) + raw
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert reason_of(whole[:cut]) in {0x81, 0x82}


@pytest.mark.parametrize("name", sorted(ALL - {props.USER_PROPERTY, props.SUBSCRIPTION_IDENTIFIER}))
@given(st.data())
def test_a_property_twice_is_a_protocol_error(name: int, data: st.DataObject) -> None:
    one = props.encode_bare({name: data.draw(VALUES[name])})
    assert reason_of(with_size(one + one)) == 0x82


@pytest.mark.parametrize("name", sorted(ALL))
@given(st.data())
def test_a_property_in_a_packet_that_has_none_such_is_malformed(
    name: int, data: st.DataObject
) -> None:
    raw = props.encode({name: data.draw(VALUES[name])})
    assert reason_of(raw, ALL - {name}) == 0x81


@pytest.mark.parametrize("name", [0x00, 0x04, 0x1B, 0x2B, 0x7F, 0x80, 0xFF])
def test_an_unknown_property_is_malformed(name: int) -> None:
    assert reason_of(with_size(bytes((name, 0)))) == 0x81


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x01\x02", 0x82),  # payload format
        (b"\x17\x02", 0x82),  # request problem information
        (b"\x19\x02", 0x82),  # request response information
        (b"\x21\0\0", 0x82),  # receive maximum
        (b"\x27\0\0\0\0", 0x82),  # maximum packet size
        (b"\x0b\0", 0x82),  # subscription identifier
        (b"\x23\0\0", 0x94),  # topic alias
        (b"\x08\0\x03a/#", 0x82),  # response topic
        (b"\x08\0\0", 0x82),
        (b"\x03\0\x01\xff", 0x81),  # content type not UTF-8
        (b"\x26\0\x01a\0\x01\0", 0x81),  # NUL in a user property
        (b"\x26\0\x01a", 0x81),  # a name without a value
        (b"\x0b\x80\x00", 0x81),  # an identifier longer than it need be
    ],
)
def test_a_value_out_of_range_has_the_reason_of_the_standard(raw: bytes, reason: int) -> None:
    assert reason_of(with_size(raw)) == reason


def test_properties_longer_than_their_packet_are_malformed() -> None:
    assert reason_of(b"\x03\x01\x00") == 0x81


@given(of_a_publish)
def test_a_publish_forwards_what_receivers_must_get_and_nothing_else(
    said: props.Properties,
) -> None:
    raw = props.encode(said)
    found, at = props.parse_publish(raw + b"payload", 0, len(raw) + 7)
    forwarded = {one: value for one, value in said.items() if one not in {0x02, 0x23}}
    assert at == len(raw)
    assert found.forward == props.encode_bare(forwarded)
    assert found[1:] == (
        said.get(props.MESSAGE_EXPIRY),
        said.get(props.TOPIC_ALIAS, 0),
        said.get(props.RESPONSE_TOPIC),
        said.get(props.CORRELATION_DATA),
    )


def test_user_properties_keep_their_order_around_others() -> None:
    pairs = [b"\x26" + with_length(one) + with_length(b"v") for one in (b"b", b"a", b"b")]
    raw = with_size(pairs[0] + b"\x02\0\0\0\x09" + pairs[1] + b"\x23\0\x01" + pairs[2])
    found, _ = props.parse_publish(raw, 0, len(raw))
    assert found.forward == b"".join(pairs)  # [MQTT-3.3.2-18]
    assert (found.expiry_s, found.alias) == (9, 1)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x0b\x01", 0x82),
        (b"\x23\0\0", 0x94),
        (b"\x11\0\0\0\1", 0x81),
        (b"\x02\0\0\0\1" * 2, 0x82),
    ],
)
def test_a_client_may_not_publish_with_other_properties(raw: bytes, reason: int) -> None:
    whole = with_size(raw)
    with pytest.raises(ProtocolViolation) as caught:
        props.parse_publish(whole, 0, len(whole))
    assert caught.value.reason == reason
