"""What crosses a bridge, under which name, and what never does."""

import pytest

from gateway.broker.peers.rules import Rules, Wanted
from gateway.config.schema import BridgeTopicSettings
from gateway.mqtt.ports import Grant

UUID = "6f1c2b1e-0000-4000-8000-000000000001"


def rules(*rows: tuple[str, str, str, str] | tuple[str, str, str, str, int]) -> Rules:
    return Rules(
        BridgeTopicSettings(
            direction=row[0],  # type: ignore[arg-type]
            filter=row[1],
            local_prefix=row[2],
            remote_prefix=row[3],
            qos=row[4] if len(row) > 4 else 1,
        )
        for row in rows
    )


def test_prefixes_are_exchanged() -> None:
    both = rules(("both", "a/#", "here/", "there/"))
    assert both.outward("here/a/b") == ("there/a/b", 1)
    assert both.inward("there/a/b") == ("here/a/b", 1)
    assert both.outward("a/b") is None
    assert both.inward("here/a/b") is None


def test_the_first_rule_that_fits_decides() -> None:
    two = rules(("out", "a/b", "", "first/", 0), ("out", "a/#", "", "second/"))
    assert two.outward("a/b") == ("first/a/b", 0)
    assert two.outward("a/c") == ("second/a/c", 1)


def test_an_out_rule_lets_nothing_in() -> None:
    out = rules(("out", "#", "", ""))
    assert out.inward("a") is None
    assert out.wanted_there == ()
    assert out.grants == (Grant("#", read=True),)


def test_what_comes_in_may_be_written_here_and_nothing_else() -> None:
    found = rules(("in", "devices/+/set", "", "ha/"))
    assert found.grants == (Grant("devices/+/set", write=True),)
    assert found.wanted_there == (Wanted("ha/devices/+/set", 1, is_both=False),)


@pytest.mark.parametrize(
    "topic", [UUID, "message", "whoami", "meshblu/request", "meshbluClient/x/y", "$SYS/a", "$gateway/1/x/up"]
)  # fmt: skip
def test_rows_of_the_mesh_never_cross_in_either_direction(topic: str) -> None:
    everything = rules(("both", "#", "", ""), ("both", topic, "", ""), ("both", "+", "", ""))
    assert everything.outward(topic) is None
    assert everything.inward(topic) is None


def test_a_prefix_never_makes_a_topic_of_the_mesh() -> None:
    assert rules(("in", "+", "meshblu/", "x/")).inward("x/request") is None
    assert rules(("out", "+", "x/", "$SYS/")).outward("x/request") is None


def test_a_filter_that_another_covers_is_not_subscribed_to_twice() -> None:
    found = rules(("out", "a/b", "", ""), ("out", "a/#", "", "", 0), ("both", "c", "", ""))
    assert found.wanted_here == (Wanted("a/#", 1, is_both=False), Wanted("c", 1, is_both=True))


def test_equal_filters_are_subscribed_to_once() -> None:
    found = rules(("out", "a/#", "", "x/"), ("out", "a/#", "", "y/"))
    assert [each.pattern for each in found.wanted_here] == ["a/#"]


def test_qos_2_is_served_as_1() -> None:
    found = rules(("both", "a", "", "", 2))
    assert found.outward("a") == ("a", 1)
    assert found.wanted_there[0].qos == 1


def test_a_topic_too_deep_for_our_broker_stays_out() -> None:
    assert rules(("in", "#", "x/" * 60, "")).inward("/".join("abcdef")) is None
