"""A bus that invents ids cannot fill the registry."""

from gateway.bridge import claiming
from gateway.bridge.devices import Source
from gateway.model import HardwareId, Reading

SOURCE = Source("line-json", "port", "serial:x")


def test_too_many_unknown_devices_are_dropped_and_counted(bench):
    for number in range(claiming.MOST_CLAIMS + 5):
        hardware_id = HardwareId(f"serial:x/{number}")
        bench.intake.accept([Reading(hardware_id, "t", 1, "", bench.clock.stamp())], SOURCE)
    assert bench.intake.dropped == 5


def test_a_full_gateway_claims_nothing_more(bench, monkeypatch):
    monkeypatch.setattr(claiming, "MOST_DEVICES", 0)
    bench.intake.accept(
        [Reading(HardwareId("serial:x/1"), "t", 1, "", bench.clock.stamp())], SOURCE
    )
    assert bench.intake.dropped == 1
