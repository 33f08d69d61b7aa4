"""Queues never grow past their bounds, whatever is pushed."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.queues import BoundedQueue, DropPolicy


@given(st.lists(st.binary(max_size=30)), st.sampled_from(DropPolicy))
def test_bounds_hold_and_every_message_is_queued_or_counted(
    payloads: list[bytes], policy: DropPolicy
) -> None:
    queue = BoundedQueue(5, 60, policy)
    dropped = sum(queue.push(b"h", payload) for payload in payloads)
    assert len(queue) <= 5
    assert queue.bytes <= 60
    assert len(queue) + dropped == len(payloads)
    assert queue.bytes == sum(len(h) + len(p) for h, p in (queue.pop() for _ in range(len(queue))))


def test_oldest_makes_room_for_the_new() -> None:
    queue = BoundedQueue(2, 100, DropPolicy.OLDEST)
    assert [queue.push(b"", payload) for payload in (b"1", b"2", b"3")] == [0, 0, 1]
    assert [queue.pop()[1], queue.pop()[1]] == [b"2", b"3"]


def test_newest_keeps_what_was_there() -> None:
    queue = BoundedQueue(2, 100, DropPolicy.NEWEST)
    assert [queue.push(b"", payload) for payload in (b"1", b"2", b"3")] == [0, 0, 1]
    assert [queue.pop()[1], queue.pop()[1]] == [b"1", b"2"]
