"""The bytes of a segment: everything comes back, garbage never passes for a segment unseen."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.message import Message
from gateway.store import mqtt_segments as segments
from gateway.store.mqtt_log import MessageLog
from gateway.store.mqtt_segments import EXPIRY

targets = st.lists(
    st.tuples(
        st.integers(1, 2**63), st.integers(1, 65535), st.integers(0, 7), st.binary(max_size=9)
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda target: target[:2],
)
messages = st.builds(
    lambda topic, *rest: (topic, *rest),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=300),
    st.integers(0, 2),
    st.booleans(),
    st.binary(max_size=20),
    st.one_of(st.none(), st.floats(0, 1e9)),
)


def made(
    topic: str, payload: bytes, qos: int, retain: bool, properties: bytes, left_s: float | None
) -> Message:
    return Message(
        topic,
        topic.encode(),
        payload,
        qos,
        retain=retain,
        properties=properties,
        expires_at=left_s,
    )


def fields(message: Message) -> tuple[object, ...]:
    return (
        message.topic,
        message.raw,
        message.payload,
        message.qos,
        message.retain,
        message.properties,
        message.expires_at,
    )


@given(st.lists(st.tuples(messages, targets), min_size=1, max_size=5))
def test_every_message_comes_back_with_its_targets(noted: list) -> None:
    log = MessageLog()
    for values, wanted in noted:
        message = made(*values)
        left_s = message.expires_at
        log.add(message, wanted, EXPIRY.pack(0, left_s) if left_s is not None else b"")
    plan = log.seal()
    assert plan is not None
    found = segments.decode(plan.data)
    assert [fields(each.message(0.0, 0)) for each in found.messages] == [
        fields(made(*values)) for values, _ in noted
    ]
    assert [[t[1:] for t in each.targets] for each in found.messages] == [
        wanted for _, wanted in noted
    ]
    numbers = [target.sequence for each in found.messages for target in each.targets]
    assert numbers == list(range(1, len(numbers) + 1))
    again = b"".join(each.encoded(each.targets) for each in found.messages)
    assert plan.data.startswith(again)


@given(st.binary(max_size=200))
def test_garbage_is_refused_as_such(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        segments.decode(data)


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_segment_cut_anywhere_is_refused(cut: int) -> None:
    log = MessageLog()
    log.add(made("topic", b"payload", 1, False, b"", None), [(1, 1, 1, b"")], b"")
    plan = log.seal()
    assert plan is not None
    if cut < len(plan.data):
        with pytest.raises(ValueError, match=r"cut short|unknown kind"):
            segments.decode(plan.data[:cut])


def test_a_row_cannot_stand_for_another() -> None:
    assert segments.checksum(1, b"data") != segments.checksum(2, b"data")
