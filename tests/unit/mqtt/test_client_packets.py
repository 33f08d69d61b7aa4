"""What a client writes, read by the server's half, and the other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt import client_packets, packets
from gateway.mqtt import properties as props
from gateway.mqtt.reasons import ProtocolViolation
from tests.unit.mqtt.test_properties import VALUES, of_a_publish, topics, words

versions = st.sampled_from([3, 4, 5])
numbers = st.integers(1, 0xFFFF)
payloads = st.binary(max_size=60)
expiry = st.integers(0, 0xFFFF_FFFF)


def cut(raw: bytes) -> packets.Frame:
    frames, used, _ = packets.split(raw, 1 << 20)
    assert used == len(raw)
    assert len(frames) == 1
    return frames[0]


@st.composite
def wills(draw: st.DrawFn, version: int) -> packets.Will:
    plain = packets.Will(draw(topics), draw(payloads), draw(st.integers(0, 2)), draw(st.booleans()))
    if version < 5:
        return plain
    names = props.IN_WILL - {props.WILL_DELAY, props.MESSAGE_EXPIRY}
    said = draw(st.fixed_dictionaries({}, optional={one: VALUES[one] for one in names}))
    return packets.Will(
        plain.topic,
        plain.payload,
        plain.qos,
        plain.retain,
        draw(expiry),
        props.encode_bare(said),
        draw(st.none() | expiry),
    )


@st.composite
def connects(draw: st.DrawFn) -> packets.Connect:
    version = draw(versions)
    will = draw(st.none() | wills(version))
    clean = draw(st.booleans())
    username = draw(st.none() | words)
    password = draw(st.none() | payloads) if username is not None or version == 5 else None
    keep_alive_s = draw(st.integers(0, 0xFFFF))
    if version < 5:
        client_id = draw(words.filter(bool))
        kept_s = 0 if clean else packets.FOR_EVER_S
        return packets.Connect(
            client_id, clean, keep_alive_s, will, username, password, version, kept_s
        )
    method = draw(st.none() | words)
    return packets.Connect(
        draw(words),
        clean,
        keep_alive_s,
        will,
        username,
        password,
        5,
        draw(expiry),
        draw(st.integers(1, 0xFFFF)),
        draw(st.none() | st.integers(1, 0xFFFF_FFFF)),
        draw(st.integers(0, 0xFFFF)),
        draw(st.booleans()),
        draw(st.booleans()),
        tuple(draw(st.lists(st.tuples(words, words), max_size=3))),
        method,
        draw(st.none() | payloads) if method is not None else None,
    )


@given(connects())
def test_a_connect_is_read_as_written(asked: packets.Connect) -> None:
    raw = client_packets.connect(asked)
    first, _, body, end = cut(raw)
    assert first == 0x10
    assert packets.parse_connect(raw, body, end) == asked
    assert packets.connect_version(raw, body, end) == max(asked.version, 4)


@given(versions, numbers, st.lists(st.tuples(topics, st.integers(0, 2)), min_size=1, max_size=4))
def test_a_subscribe_is_read_as_written(
    version: int, number: int, wanted: list[tuple[str, int]]
) -> None:
    raw = client_packets.subscribe(number, wanted, version, identifier=7)
    first, _, body, end = cut(raw)
    assert first == 0x82
    identifier = 7 if version == 5 else 0
    assert packets.parse_subscribe(raw, body, end, version) == (number, wanted, identifier)


@given(versions, numbers, st.lists(topics, min_size=1, max_size=4))
def test_an_unsubscribe_is_read_as_written(version: int, number: int, filters: list[str]) -> None:
    raw = client_packets.unsubscribe(number, filters, version)
    first, _, body, end = cut(raw)
    assert first == 0xA2
    assert packets.parse_unsubscribe(raw, body, end, version) == (number, filters)


@given(versions, topics, payloads, st.integers(0, 2), st.booleans(), numbers, of_a_publish)
def test_a_publish_is_read_as_written(
    version: int,
    topic: str,
    payload: bytes,
    qos: int,
    retain: bool,
    number: int,
    said: props.Properties,
) -> None:
    packet = client_packets.PublishPacket(
        topic,
        payload,
        qos,
        retain,
        dup=retain and qos > 0,
        number=number if qos else 0,
        properties=said if version == 5 else {},
    )
    raw = client_packets.publish(packet, version)
    first, _, body, end = cut(raw)
    assert client_packets.parse_publish(raw, first, body, end, version) == packet


@given(st.integers(0, 255), st.booleans(), st.booleans())
def test_a_connack_is_read_as_written(code: int, present: bool, is_v5: bool) -> None:
    said = {props.SERVER_KEEP_ALIVE: 30, props.ASSIGNED_CLIENT_ID: "x"} if is_v5 else {}
    version = 5 if is_v5 else 4
    raw = packets.connack(code, is_present=present, version=version, properties=said or None)
    first, _, body, end = cut(raw)
    assert first == 0x20
    assert client_packets.parse_connack(raw, body, end, version) == (present, code, said)


def test_a_server_that_speaks_3_1_1_only_may_refuse_a_client_of_5_without_properties() -> None:
    raw = packets.connack(packets.BAD_VERSION)
    assert client_packets.parse_connack(raw, 2, 4, 5) == (False, 1, {})


@given(versions, numbers, st.binary(min_size=1, max_size=200))
def test_subacks_are_read_as_written(version: int, number: int, codes: bytes) -> None:
    raw = packets.suback(number, codes, version)
    _, _, body, end = cut(raw)
    assert client_packets.parse_suback(raw, body, end, version) == (number, codes)
    raw = packets.unsuback(number, codes, version)
    _, _, body, end = cut(raw)
    assert client_packets.parse_suback(raw, body, end, version) == (
        number,
        codes if version == 5 else b"",
    )


@given(st.integers(0, 255), st.none() | words)
def test_a_dismissal_is_read_as_written(reason: int, why: str | None) -> None:
    raw = packets.disconnect(reason, None if why is None else {props.REASON_STRING: why})
    _, _, body, end = cut(raw)
    assert client_packets.parse_dismissal(raw, body, end) == (reason, why or "")


def test_a_client_s_disconnect_is_read_as_written() -> None:
    for expiry_s in (None, 0, 3600):
        raw = client_packets.disconnect(4, expiry_s)
        _, _, body, end = cut(raw)
        assert packets.parse_disconnect(raw, body, end, 5) == (4, expiry_s)


def test_an_alias_stands_for_the_topic_it_last_came_with() -> None:
    aliases = client_packets.Aliases(2)

    def named(topic: str, alias: int) -> client_packets.PublishPacket:
        return client_packets.PublishPacket(topic, b"", properties={props.TOPIC_ALIAS: alias})

    assert aliases.topic_of(client_packets.PublishPacket("t", b"")) == "t"
    assert aliases.topic_of(named("a", 1)) == "a"
    assert aliases.topic_of(named("", 1)) == "a"
    assert aliases.topic_of(named("b", 1)) == "b"
    assert aliases.topic_of(named("", 1)) == "b"
    for alias, reason in ((3, 0x94), (2, 0x82)):
        with pytest.raises(ProtocolViolation) as caught:
            aliases.topic_of(named("", alias))
        assert caught.value.reason == reason


@given(st.binary(max_size=60), versions, st.integers(0x30, 0x3F))
def test_any_bytes_from_a_server_are_a_packet_or_a_violation(
    raw: bytes, version: int, first: int
) -> None:
    end = len(raw)
    for read in (
        lambda: client_packets.parse_publish(raw, first, 0, end, version),
        lambda: client_packets.parse_connack(raw, 0, end, version),
        lambda: client_packets.parse_suback(raw, 0, end, version),
        lambda: client_packets.parse_dismissal(raw, 0, end),
    ):
        try:
            assert read() is not None
        except ProtocolViolation as error:
            assert error.reason in {0x81, 0x82, 0x94}


@pytest.mark.parametrize(
    ("raw", "first"),
    [(b"\0\1a\0", 0x36), (b"\0\1a\0", 0x38), (b"\0\0\0", 0x30), (b"\0\1+\0", 0x30)],
    ids=["QoS 3", "DUP at QoS 0", "neither topic nor alias", "wildcard"],
)
def test_a_publish_that_no_server_may_send_is_a_violation(raw: bytes, first: int) -> None:
    with pytest.raises(ProtocolViolation):
        client_packets.parse_publish(raw, first, 0, len(raw), 5)


def test_bytes_after_a_connack_or_dismissal_are_a_violation() -> None:
    with pytest.raises(ProtocolViolation):
        client_packets.parse_connack(b"\0\0\0x", 0, 4, 5)
    with pytest.raises(ProtocolViolation):
        client_packets.parse_dismissal(b"\x8e\0x", 0, 3)
