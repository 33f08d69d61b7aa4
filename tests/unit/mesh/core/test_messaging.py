"""Whom a message is for, what it asks, and who may listen."""

from typing import Any

import pytest

from gateway.mesh.core.messaging import (
    LEGACY_TYPES,
    MOST_HOPS,
    MOST_RECIPIENTS,
    Addressees,
    Request,
    addressees,
    authorised_types,
    is_looping,
    may_send_as,
    requested,
)
from gateway.model import AccessRecord
from tests.fakes.mesh_node import device_uuid

A, B, C = device_uuid(1), device_uuid(0xB), device_uuid(3)


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([A, B, A], Addressees((A, B), is_broadcast=False)),
        (A, Addressees((A,), is_broadcast=False)),
        ("*", Addressees((), is_broadcast=True)),
        (["*"], Addressees((), is_broadcast=True)),
        ([B, "*"], Addressees((B,), is_broadcast=True)),
        ([B.upper(), 7, None], Addressees((B,), is_broadcast=False)),
        (["My-Alias"], Addressees(("My-Alias",), is_broadcast=False)),
        (None, None),
        ([], None),
        ([7], None),
        ({}, None),
        (7, None),
        ([device_uuid(n) for n in range(MOST_RECIPIENTS + 1)], None),
    ],
)
def test_the_addressees_of_a_message(devices: object, expected: object) -> None:
    assert addressees({"devices": devices}) == expected


def test_a_message_without_devices_is_for_nobody() -> None:
    assert addressees({"payload": 1}) is None


@pytest.mark.parametrize(
    ("forwarded", "loops"),
    [
        (None, False),
        ("x", False),
        ([], False),
        ([B], False),
        ([B, A], True),
        ([B] * (MOST_HOPS - 1), False),
        ([B] * MOST_HOPS, True),
    ],
)
def test_a_message_that_passed_its_sender_or_went_too_far_loops(
    forwarded: object, loops: bool
) -> None:
    assert is_looping({"forwardedFor": forwarded}, A) is loops


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"topic": "set", "payload": {"on": True}}, Request("set", {"on": True}, None)),
        ({"topic": "set"}, Request("set", {}, None)),
        (
            {"metadata": {"jobType": "Blink", "respondTo": {"x": 1}}, "data": {"times": 3}},
            Request("Blink", {"times": 3}, {"x": 1}),
        ),
        ({"metadata": {"jobType": "Blink"}}, Request("Blink", {}, None)),
        ({"topic": "set", "payload": {"on": [1]}}, None),
        ({"topic": "set", "payload": 7}, None),
        ({"topic": "reading", "payload": {"on": True}}, None),
        ({"metadata": {"jobType": "Blink", "code": 200}, "data": {}}, None),
        ({"metadata": {"jobType": ""}}, None),
        ({"metadata": "x"}, None),
    ],
)
def test_what_a_message_asks(content: dict[str, Any], expected: object) -> None:
    assert requested(content) == expected


def record(**lists: str) -> AccessRecord:
    named = {name.replace("_", "."): frozenset([who]) for name, who in lists.items()}
    return AccessRecord(B, named, frozenset(), 1)


@pytest.mark.parametrize(
    ("access", "types"),
    [
        (record(configure_update=A), LEGACY_TYPES),
        (record(broadcast_sent=A), ("broadcast",)),
        (record(broadcast_sent="*"), ("broadcast",)),
        (record(discover_view=A), ()),
        (record(configure_update=C), ()),
        (None, ()),
    ],
)
def test_who_may_listen_to_what(access: AccessRecord | None, types: tuple[str, ...]) -> None:
    assert authorised_types(A, access) == types


def test_sending_as_another_needs_the_list_of_each_way_used() -> None:
    both = Addressees((C,), is_broadcast=True)
    assert may_send_as(A, record(message_as=A, broadcast_as=A), both)
    assert not may_send_as(A, record(message_as=A), both)
    assert not may_send_as(A, record(broadcast_as=A), both)
    assert may_send_as(A, record(broadcast_as=A), Addressees((), is_broadcast=True))
    assert may_send_as(A, record(message_as=A), Addressees((C,), is_broadcast=False))
    assert not may_send_as(A, None, both)
