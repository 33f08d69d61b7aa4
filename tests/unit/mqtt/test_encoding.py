"""A delivery in the dialect of who gets it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.encoding import encoded, head3
from gateway.mqtt.message import RETAIN_FLAG
from gateway.mqtt.properties import parse_publish
from tests.fakes.mqtt_broker import publish
from tests.fakes.mqtt_sessions import message


@given(st.text("abc/", min_size=1, max_size=200), st.binary(max_size=300))
def test_mqtt_3_gets_topic_and_payload_only(topic: str, payload: bytes) -> None:
    sent = message(topic, payload, properties=b"\x01\x01", expires_at=5.0)
    raw = topic.encode()
    assert encoded((sent, 0, b""), 4, b"") == publish(raw, payload)
    assert encoded((sent, RETAIN_FLAG, b""), 3, b"") == publish(raw, payload, flags=1)
    assert head3(sent) + b"\0\7" + payload == publish(raw, payload, 1, 7)
    whole = encoded((sent, 2, b""), 4, b"\0\x07", is_dup=True)
    assert whole == publish(raw, payload, 2, 7, flags=8)


def test_mqtt_5_gets_properties_identifiers_and_what_is_left_of_the_expiry() -> None:
    sent = message("t", b"x", properties=b"\x01\x01", expires_at=100.0)
    packet = encoded((sent, 1, b"\x0b\x07\x0b\x08"), 5, b"\0\x01", now=40.5)
    at = 2 + 3 + 2
    assert packet[:at] == b"\x32" + bytes((len(packet) - 2,)) + b"\0\x01t\0\x01"
    assert packet[at:] == b"\x0b\x01\x01\x02\0\0\0\x3c\x0b\x07\x0b\x08x"


def test_an_expiry_in_the_past_is_zero_not_a_wrap() -> None:
    packet = encoded((message(expires_at=1.0), 0, b""), 5, b"", now=500.0)
    said, _ = parse_publish(packet, 5, len(packet))
    assert said.expiry_s == 0
