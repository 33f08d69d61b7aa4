"""Claims: found by topic, refused when two would share one."""

import pytest

from gateway.broker.claims import Claims
from gateway.errors import ConfigError
from gateway.mqtt.ports import CONSUMED, Granted, Publish, Session, Verdict


def take(session: Session, publish: Publish) -> Verdict:
    return CONSUMED


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "a"), ("a/#", "a/b"), ("a/b", "a/#"), ("a/#", "a"), ("a/#", "a/b/#"), ("a/b/#", "a/#")],
)
def test_overlapping_claims_are_an_error_at_start(one: str, other: str) -> None:
    claims = Claims()
    claims.add(one, take)
    with pytest.raises(ConfigError, match="overlaps"):
        claims.add(other, take)


@pytest.mark.parametrize("pattern", ["#", "+/a", "a/+/b", "a/#/b", ""])
def test_a_claim_is_a_topic_or_a_prefix(pattern: str) -> None:
    with pytest.raises(ConfigError):
        Claims().add(pattern, take)


def test_claims_are_found_by_topic() -> None:
    claims = Claims()
    claims.add("$gateway/1/#", take)
    claims.add("message", take)
    assert claims.find("$gateway/1/x/up") is take
    assert claims.find("message") is take
    assert claims.find("message/x") is None
    assert claims.find("other") is None


def test_uuid_topics_have_one_owner() -> None:
    claims = Claims()
    claims.add_uuids(take, lambda *_: Granted(0), lambda *_: None)
    with pytest.raises(ConfigError):
        claims.add_uuids(take, lambda *_: Granted(0), lambda *_: None)
