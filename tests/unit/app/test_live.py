"""The live hub: what a viewer is told, and what a viewer that does not read may cost."""

import json
from typing import Any

from gateway.app.live import (
    MOST_QUANTITIES,
    MOST_TRENDS,
    MOST_VIEWERS,
    MOST_WAITING_EVENTS,
    TREND_POINTS,
    Live,
    Seen,
    described,
)
from gateway.model import DeviceUuid

UUID = DeviceUuid("0f0e0d0c-0000-4000-8000-000000000001")


def live() -> Live:
    hub = Live(lambda: {"devices": 0})
    hub.know(Seen(UUID, "greenhouse", "Greenhouse"))
    return hub


def parsed(frame: bytes) -> tuple[str, Any]:
    event, data = frame.decode().rstrip().split("\n", 1)
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_a_viewer_first_gets_a_snapshot_and_then_what_changes():
    hub = live()
    stream = hub.stream()
    assert parsed(await anext(stream)) == ("snapshot", {"devices": 0})
    hub.reading(UUID, {"temperature": (21.5, "Cel")}, 1000)
    event, data = parsed(await anext(stream))
    assert event == "reading"
    assert data["values"] == {"temperature": {"value": 21.5, "unit": "Cel"}}
    await stream.aclose()
    assert hub.viewers == 0


async def test_a_viewer_that_does_not_read_costs_a_bounded_queue_and_starts_again_from_a_snapshot():
    hub = live()
    stream = hub.stream()
    await anext(stream)
    for number in range(MOST_WAITING_EVENTS + 10):
        hub.reading(UUID, {"n": (number, "")}, number)
    event, _ = parsed(await anext(stream))
    assert event == "snapshot"
    event, data = parsed(await anext(stream))
    assert (event, data["values"]["n"]["value"]) == ("reading", MOST_WAITING_EVENTS + 1)
    await stream.aclose()


def test_late_readings_move_last_values_forward_only():
    hub = live()
    hub.reading(UUID, {"temperature": (21.5, "Cel")}, 5000)
    hub.reading(UUID, {"temperature": (3.0, "Cel")}, 1000, late=True)
    assert hub.devices[UUID].values["temperature"] == (21.5, "Cel", 5000)
    assert hub.devices[UUID].last_seen_ms == 5000
    hub.reading(UUID, {"temperature": (22.0, "Cel")}, 6000, late=True)
    assert hub.devices[UUID].values["temperature"] == (22.0, "Cel", 6000)


def test_a_trend_keeps_only_the_newest_points():
    hub = live()
    for number in range(TREND_POINTS + 5):
        hub.reading(UUID, {"n": (float(number), "")}, number)
    trend = described(hub.devices[UUID], trends=True)["values"]["n"]["trend"]
    assert trend == [float(n) for n in range(5, TREND_POINTS + 5)]


def test_knowing_a_device_again_keeps_its_values():
    hub = live()
    hub.reading(UUID, {"temperature": (21.5, "Cel")}, 5000)
    hub.know(Seen(UUID, "glasshouse", "Glasshouse"))
    shown = described(hub.devices[UUID])
    assert (shown["slug"], shown["values"]["temperature"]["value"]) == ("glasshouse", 21.5)


def test_values_that_json_or_a_browser_cannot_hold_are_not_shown():
    hub = live()
    odd = {"nan": float("nan"), "inf": float("inf"), "huge": 10**400, "list": [1], "none": None}
    hub.reading(UUID, {name: (value, "") for name, value in odd.items()} | {"ok": (1, "")}, 1)
    assert list(hub.devices[UUID].values) == ["ok"]
    json.dumps(described(hub.devices[UUID], trends=True), allow_nan=False)


def test_a_device_that_makes_up_names_cannot_fill_the_memory():
    hub = live()
    for number in range(10 * MOST_QUANTITIES):
        hub.reading(UUID, {f"q{number}": (number, "")}, number)
    assert len(hub.devices[UUID].values) == MOST_QUANTITIES
    hub.reading(UUID, {"q0": (7, "")}, 10_000)
    assert hub.devices[UUID].values["q0"] == (7, "", 10_000)


def test_forgotten_devices_give_their_sparklines_back():
    hub = live()
    for number in range(MOST_TRENDS + 10):
        hub.forget(UUID)
        hub.reading(UUID, {"t": (float(number), "")}, number)
    assert "t" in hub.devices[UUID].trends


async def test_a_hub_that_is_full_has_no_room_until_somebody_leaves():
    hub = live()
    streams = [hub.stream() for _ in range(MOST_VIEWERS)]
    for stream in streams:
        await anext(stream)
    assert not hub.has_room()
    await streams[0].aclose()
    assert hub.has_room()
    for stream in streams[1:]:
        await stream.aclose()
