"""Sessions by (identity, client id)."""

from gateway.broker.limits import KEPT_PER_DEVICE, TAKEOVERS_PER_MINUTE
from gateway.broker.registry import Registry
from gateway.broker.server import Broker
from gateway.mqtt.ports import PrincipalKind
from gateway.mqtt.session import MqttSession
from tests.fakes.mqtt_broker import DEVICE, PRINCIPALS, authenticate


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
