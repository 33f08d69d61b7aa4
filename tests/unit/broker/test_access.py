"""The access table, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.access import (
    JOB_TOPICS,
    REQUEST_TOPICS,
    Rule,
    SubscribeAs,
    may_publish,
    may_read,
    may_subscribe,
)
from gateway.mqtt.ports import Grant, Principal, PrincipalKind
from tests.fakes.mqtt_broker import CHILD, DEVICE, OTHER, PRINCIPALS

ADMIN, READER, KITCHEN = PRINCIPALS["admin"], PRINCIPALS["reader"], PRINCIPALS["kitchen"]
PLAIN_DEVICE, GRANTED_DEVICE, THE_CHILD = PRINCIPALS[DEVICE], PRINCIPALS[OTHER], PRINCIPALS[CHILD]
OWN_SYNC, OTHER_SYNC = f"$gateway/1/{CHILD}/up", f"$gateway/1/{DEVICE}/up"
SESSION = f"meshbluClient/{DEVICE}/c"

PUBLISH = [
    *((PLAIN_DEVICE, topic, Rule.JOB) for topic in sorted({*REQUEST_TOPICS, *JOB_TOPICS})),
    *((THE_CHILD, topic, Rule.JOB) for topic in sorted({*REQUEST_TOPICS, *JOB_TOPICS})),
    (ADMIN, "message", Rule.UNCLAIMED),
    (ADMIN, "meshblu/request", None),
    (ADMIN, SESSION, None),
    (PLAIN_DEVICE, DEVICE, Rule.MESH),
    (PLAIN_DEVICE, OTHER, Rule.MESH),
    (ADMIN, DEVICE, None),
    (ADMIN, DEVICE.upper(), None),
    (THE_CHILD, OWN_SYNC, Rule.OWN_SYNC),
    (THE_CHILD, OTHER_SYNC, None),
    (THE_CHILD, f"$gateway/2/{CHILD}/up", None),
    (THE_CHILD, f"$gateway/1/{CHILD}", None),
    (PLAIN_DEVICE, OTHER_SYNC, None),
    (ADMIN, OWN_SYNC, None),
    (ADMIN, "$SYS/broker/version", None),
    (ADMIN, "$other/x", None),
    (ADMIN, "$share/g/a", None),
    (ADMIN, "devices/pump/reading", None),
    (ADMIN, "devices/pump/event", None),
    (ADMIN, "devices/pump/availability", None),
    (ADMIN, "devices/pump/result", None),
    (ADMIN, "devices/pump/set", Rule.WRITE_LIVE),
    (KITCHEN, "devices/pump/set", Rule.WRITE_LIVE),
    (READER, "devices/pump/set", None),
    (THE_CHILD, "devices/pump/set", None),
    (PLAIN_DEVICE, "devices/pump/set", None),
    (ADMIN, "homeassistant/sensor/x/config", Rule.WRITE),
    (PLAIN_DEVICE, "homeassistant/sensor/x/config", None),
    (THE_CHILD, "homeassistant/sensor/x/config", None),
    (READER, "home/x", None),
    (PLAIN_DEVICE, "lab/x", None),
    (GRANTED_DEVICE, "lab/x", Rule.WRITE),
    (THE_CHILD, "lab/x", None),
]


@pytest.mark.parametrize(("who", "topic", "rule"), PUBLISH)
def test_a_publish_is_judged_by_its_row(who: Principal, topic: str, rule: Rule | None) -> None:
    verdict = may_publish(who, topic)
    assert (verdict.rule if verdict.refusal is None else None) is rule


SUBSCRIBE = [
    (PLAIN_DEVICE, DEVICE, SubscribeAs.MESH),
    (PLAIN_DEVICE, OTHER, SubscribeAs.MESH),
    (ADMIN, DEVICE, SubscribeAs.REFUSED),
    *(
        (PLAIN_DEVICE, topic, SubscribeAs.REFUSED)
        for topic in sorted({*REQUEST_TOPICS, *JOB_TOPICS})
    ),
    (ADMIN, "message", SubscribeAs.OPEN),
    (ADMIN, "meshblu/request", SubscribeAs.REFUSED),
    (PLAIN_DEVICE, SESSION, SubscribeAs.REFUSED),
    (THE_CHILD, f"$gateway/1/{CHILD}/#", SubscribeAs.PUSHED),
    (THE_CHILD, f"$gateway/1/{DEVICE}/#", SubscribeAs.REFUSED),
    (THE_CHILD, "$gateway/1/+/down", SubscribeAs.REFUSED),
    (ADMIN, "$gateway/#", SubscribeAs.REFUSED),
    (ADMIN, "$SYS/#", SubscribeAs.OPEN),
    (READER, "$SYS/#", SubscribeAs.REFUSED),
    (PLAIN_DEVICE, "$SYS/#", SubscribeAs.REFUSED),
    (ADMIN, "devices/+/reading", SubscribeAs.OPEN),
    (KITCHEN, "devices/+/set", SubscribeAs.OPEN),
    (KITCHEN, "devices/#", SubscribeAs.CHECKED),
    (ADMIN, "#", SubscribeAs.OPEN),
    (READER, "#", SubscribeAs.CHECKED),
    (READER, "home/+", SubscribeAs.OPEN),
    (READER, "garden/#", SubscribeAs.REFUSED),
    (READER, "garden", SubscribeAs.REFUSED),
    (PLAIN_DEVICE, "#", SubscribeAs.REFUSED),
    (GRANTED_DEVICE, "#", SubscribeAs.CHECKED),
    (THE_CHILD, "#", SubscribeAs.REFUSED),
    (THE_CHILD, "+", SubscribeAs.REFUSED),
    (ADMIN, "$share/g/#", SubscribeAs.OPEN),
    (ADMIN, "$share/g/message", SubscribeAs.OPEN),
    (ADMIN, "$share/g/$SYS/#", SubscribeAs.REFUSED),
    (ADMIN, f"$share/g/{OTHER}", SubscribeAs.REFUSED),
    (ADMIN, "$share/g", SubscribeAs.REFUSED),
    (ADMIN, "$share//a", SubscribeAs.REFUSED),
    (ADMIN, "$share/+/a", SubscribeAs.REFUSED),
    (ADMIN, "$share/g/a/#/b", SubscribeAs.REFUSED),
    (KITCHEN, "$share/g/#", SubscribeAs.CHECKED),
    (PRINCIPALS[DEVICE], f"$share/g/{OTHER}", SubscribeAs.REFUSED),
    (PRINCIPALS[DEVICE], f"$share/g/{DEVICE}", SubscribeAs.REFUSED),
    (PRINCIPALS[DEVICE], "$share/g/message", SubscribeAs.REFUSED),
    (GRANTED_DEVICE, "$share/g/plain", SubscribeAs.REFUSED),
    (PRINCIPALS[CHILD], "$share/g/plain", SubscribeAs.REFUSED),
    (ADMIN, "a/#/b", SubscribeAs.REFUSED),
]


@pytest.mark.parametrize(("who", "pattern", "verdict"), SUBSCRIBE)
def test_a_filter_is_judged_by_its_row(who: Principal, pattern: str, verdict: SubscribeAs) -> None:
    assert may_subscribe(who, pattern) is verdict


@pytest.mark.parametrize("topic", [DEVICE, "meshblu/request", SESSION, OWN_SYNC])
def test_even_an_admin_reads_nothing_of_the_mesh(topic: str) -> None:
    assert not may_read(ADMIN, topic)


@given(st.text(max_size=30))
def test_without_a_grant_nothing_plain_is_open(topic: str) -> None:
    nobody = Principal(PrincipalKind.USER, "nobody")
    assert may_publish(nobody, topic).refusal is not None
    assert may_subscribe(nobody, topic) is SubscribeAs.REFUSED


def test_sys_needs_a_grant_that_names_it() -> None:
    everything = Principal(PrincipalKind.USER, "u", (Grant("#", read=True, write=True),))
    assert may_subscribe(everything, "$SYS/#") is SubscribeAs.REFUSED
