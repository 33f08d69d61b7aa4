"""Every packet has a line; none of them holds a password or a topic of the mesh, and no bytes break it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.packet_text import MOST_TOPIC, Packet, Reading, line_of
from gateway.mqtt.client_packets import PublishPacket as Publish
from gateway.mqtt.client_packets import connect, disconnect, publish, subscribe, unsubscribe
from gateway.mqtt.packets import Connect, Will, ack, connack, split, suback, unsuback
from gateway.mqtt.ports import PrincipalKind
from tests.fakes.mqtt_broker import DEVICE

USER = PrincipalKind.USER


def said(raw: bytes, version: int = 4, kind: PrincipalKind = USER) -> str | None:
    [(first, _, body, end)], used, _ = split(raw, 1 << 20)
    assert used == len(raw)
    line = line_of(Packet(raw, first, body, end), Reading(version, kind))
    return None if line is None else line.text


def asking(version: int = 5, **fields: object) -> Connect:
    values = {
        "version": version,
        "client_id": "c",
        "clean_start": False,
        "keep_alive_s": 30,
        "username": "anna",
        "password": b"PASSWORD",
        **fields,
    }
    return Connect(**values)  # type: ignore[arg-type]


LINES = [
    (connack(0), "CONNACK, new session"),
    (connack(0, is_present=True), "CONNACK, session present"),
    (connack(5), "CONNACK refused, code 0x05"),
    (publish(Publish("a", b"12", 2, True, True, 9), 4), "PUBLISH (d1, q2, r1, m9, 'a', 2 bytes)"),
    (publish(Publish("a\nb", b""), 4), "PUBLISH (d0, q0, r0, m0, 'a\\u000ab', 0 bytes)"),
    (ack(0x50, 7), "PUBREC (m7)"),
    (ack(0x62, 7), "PUBREL (m7)"),
    (ack(0x70, 7), "PUBCOMP (m7)"),
    (subscribe(3, [("a/#", 1), ("b", 0)], 4), "SUBSCRIBE (m3) 'a/#' q1, 'b' q0"),
    (suback(3, b"\1\0\x80"), "SUBACK (m3) 1, 0, refused 0x80"),
    (unsubscribe(3, ["a/#", "b"], 4), "UNSUBSCRIBE (m3) 'a/#', 'b'"),
    (unsuback(3, b"\0"), "UNSUBACK (m3)"),
    (b"\xc0\x00", "PINGREQ"),
    (b"\xe0\x00", "DISCONNECT"),
]
LINES_OF_5 = [
    (connack(0x87, version=5), "CONNACK refused, code 0x87"),
    (ack(0x40, 7, 0x87, 5), "PUBACK (m7), reason 0x87"),
    (suback(3, b"\2\x8f", 5), "SUBACK (m3) 2, refused 0x8f"),
    (unsuback(3, b"\0\x11", 5), "UNSUBACK (m3) 0, 17"),
    (disconnect(4), "DISCONNECT, reason 0x04"),
    (subscribe(3, [("$share/g/a", 1 | 8)], 5), "SUBSCRIBE (m3) '$share/g/a' q1"),
]


@pytest.mark.parametrize(("raw", "line"), LINES)
def test_a_packet_is_said_in_words(raw: bytes, line: str) -> None:
    assert said(raw) == line


@pytest.mark.parametrize(("raw", "line"), LINES_OF_5)
def test_a_packet_of_mqtt_5_is_said_with_its_reasons(raw: bytes, line: str) -> None:
    assert said(raw, 5) == line


def test_a_connect_tells_all_but_the_password() -> None:
    will = Will("garden/gone", b"12345", 1, retain=True)
    text = said(connect(asking(expiry_s=60, will=will)), 5)
    assert text == (
        "CONNECT MQTT 5, client id 'c', user 'anna', with a password, keep-alive 30 s, resume, "
        "session expiry 60 s, will (q1, r1, 'garden/gone', 5 bytes)"
    )


@pytest.mark.parametrize(
    ("user", "topic", "is_shown"),
    [("anna", "message", True), (DEVICE, "message", False), (DEVICE, "plain", True), ("anna", DEVICE, False)],
)  # fmt: skip
def test_a_will_for_the_mesh_is_only_mentioned(user: str, topic: str, *, is_shown: bool) -> None:
    raw = connect(asking(username=user, will=Will(topic, b"", 0, retain=False)))
    text = said(raw, 5)
    assert text is not None
    assert (f"'{topic}'" in text) is is_shown
    assert text.endswith(", a will") is not is_shown


def test_a_version_that_is_not_spoken_is_said() -> None:
    raw = b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x3c\x00\x01c"
    assert said(raw) == "CONNECT of an MQTT version that is not spoken here (code 1)"


HIDDEN = [DEVICE, DEVICE.upper(), "meshblu/request", f"meshbluClient/{DEVICE}/c", "$gateway/1/x/y"]


@pytest.mark.parametrize("kind", [USER, PrincipalKind.DEVICE, PrincipalKind.CHILD])
@pytest.mark.parametrize("topic", HIDDEN)
def test_topics_of_the_mesh_have_no_line(topic: str, kind: PrincipalKind) -> None:
    assert said(publish(Publish(topic, b"x"), 4), kind=kind) is None
    assert said(subscribe(1, [(topic, 0)], 4), kind=kind) is None
    assert said(unsubscribe(1, [topic], 4), kind=kind) is None
    assert said(subscribe(1, [(topic, 0), ("a", 0)], 4), kind=kind) == "SUBSCRIBE (m1) 'a' q0"


@pytest.mark.parametrize("topic", ["whoami", "update", "message", "resetToken"])
def test_requests_of_devices_have_no_line_but_a_users_topic_of_that_name_has(topic: str) -> None:
    raw = publish(Publish(topic, b"x"), 4)
    assert said(raw, kind=PrincipalKind.DEVICE) is None
    assert said(raw, kind=PrincipalKind.CHILD) is None
    assert said(raw, kind=USER) == f"PUBLISH (d0, q0, r0, m0, '{topic}', 1 bytes)"


def test_a_long_topic_is_cut() -> None:
    text = said(publish(Publish("t" * 5000, b""), 4))
    assert text is not None
    assert "t" * MOST_TOPIC + "…'" in text
    assert len(text) < MOST_TOPIC + 60


@given(st.binary(max_size=60), st.integers(0, 255), st.sampled_from([3, 4, 5]), st.booleans())
def test_no_bytes_break_it(raw: bytes, first: int, version: int, with_payload: bool) -> None:
    reading = Reading(version, USER)
    line = line_of(Packet(raw, first, 0, len(raw)), reading, with_payload=with_payload)
    assert line is None or line.text.isprintable()
