"""Sessions by (identity, client id)."""

from collections.abc import Iterator

from gateway.broker.limits import KEPT_PER_DEVICE, KEPT_PER_USER, TAKEOVERS_PER_MINUTE
from gateway.broker.registry import Key, Registry
from gateway.broker.server import Broker
from gateway.mqtt.ports import Principal, PrincipalKind
from gateway.mqtt.session import MqttSession
from tests.fakes.mqtt_broker import DEVICE, PRINCIPALS, authenticate


class WatchedSessions(dict[Key, tuple[MqttSession, float]]):
    """Kept sessions that are looked up, never looked through."""

    def __iter__(self) -> Iterator[Key]:
        raise AssertionError("all kept sessions were looked through")


def made() -> tuple[Broker, Registry]:
    broker = Broker(authenticate)
    return broker, broker.registry


def kept(broker: Broker, client_id: str) -> MqttSession:
    return MqttSession(PRINCIPALS[DEVICE], client_id, broker.routing)


def test_the_oldest_kept_session_of_a_device_makes_room() -> None:
    broker, registry = made()
    for number in range(KEPT_PER_DEVICE + 1):
        name = f"c{number}"
        registry.keep((DEVICE, name), kept(broker, name), PrincipalKind.DEVICE, 100.0)
    assert (DEVICE, "c0") not in registry.kept
    assert len(registry.kept) == KEPT_PER_DEVICE


def test_a_kept_session_is_given_back_once() -> None:
    broker, registry = made()
    session = kept(broker, "c")
    registry.keep((DEVICE, "c"), session, PrincipalKind.DEVICE, 100.0)
    assert registry.take_kept((DEVICE, "c")) is session
    assert registry.take_kept((DEVICE, "c")) is None


def test_take_overs_are_reported_by_rate_not_by_count() -> None:
    _, registry = made()
    for number in range(20):
        registry.taken_over(DEVICE, number * 20.0)
    assert registry.cloned_reports == 0
    for _ in range(TAKEOVERS_PER_MINUTE + 1):
        registry.taken_over(DEVICE, 1000.0)
    assert registry.cloned_reports == 1


def test_identities_without_recent_take_overs_are_forgotten() -> None:
    _, registry = made()
    registry.taken_over(DEVICE, 0.0)
    registry.expire(61.0)
    assert registry._takeovers == {}


def test_the_oldest_kept_session_of_a_user_makes_room_much_later() -> None:
    broker, registry = made()
    for number in range(KEPT_PER_USER + 1):
        session = MqttSession(PRINCIPALS["reader"], f"c{number}", broker.routing)
        registry.keep(("reader", session.client_id), session, PrincipalKind.USER, 100.0)
    assert ("reader", "c0") not in registry.kept
    assert len(registry.kept) == KEPT_PER_USER


def test_who_comes_back_between_is_put_aside_last() -> None:
    broker, registry = made()
    for name in ("a", "b", "c", "d"):
        registry.keep((DEVICE, name), kept(broker, name), PrincipalKind.DEVICE, 100.0)
    session = registry.take_kept((DEVICE, "a"))
    assert session is not None
    registry.keep((DEVICE, "a"), session, PrincipalKind.DEVICE, 100.0)
    registry.keep((DEVICE, "e"), kept(broker, "e"), PrincipalKind.DEVICE, 100.0)
    assert [key[1] for key in registry.kept] == ["c", "d", "a", "e"]


def test_nothing_is_left_of_identities_without_kept_sessions() -> None:
    broker, registry = made()
    for name in ("a", "b", "c", "d"):
        registry.keep((DEVICE, name), kept(broker, name), PrincipalKind.DEVICE, 100.0)
    registry.take_kept((DEVICE, "a"))
    registry.drop_kept((DEVICE, "b"))
    assert registry.expire(101.0) == 2
    assert (registry.kept, registry._kept_keys) == ({}, {})


def test_putting_sessions_aside_costs_the_same_however_many_there_are() -> None:
    broker, registry = made()
    registry.kept = WatchedSessions()
    for number in range(100):
        name = f"{number:08x}-aaaa-4bbb-8ccc-000000000001"
        session = MqttSession(Principal(PrincipalKind.DEVICE, name), "c", broker.routing)
        registry.keep((name, "c"), session, PrincipalKind.DEVICE, 100.0)
    assert len(registry.kept) == 100
