"""Adverts go to the drivers that want them; one broken driver leaves the others alone."""

import json

import pytest
from pydantic import BaseModel

from gateway.bridge import advert_host
from gateway.bridge.advert_host import AdvertHost, AdvertLane
from gateway.driver.contract import Advert, Driver, LinkKind, Match
from gateway.errors import UnsupportedCommandError
from gateway.model import Command, CommandResult, DeviceUuid, HardwareId, Outcome, Reading
from tests.fakes.waiting import eventually
from tests.unit.bridge.fakes import FakeLink

A, B = "AA:AA:AA:AA:AA:AA", "BB:BB:BB:BB:BB:BB"


class Settings(BaseModel):
    pass


class Counting:
    """Says how many adverts it has seen of its address; `!` is a bug."""

    def __init__(self, settings, origin):
        self.counters = {"good": 0}

    def feed(self, item, at):
        if b"!" in (*item.manufacturer_data.values(), *item.service_data.values()):
            raise RuntimeError("bug")
        self.counters["good"] += 1
        return [Reading(HardwareId(f"ble:{item.address}"), "n", self.counters["good"], "", at)]

    def poll(self):
        return None

    def encode(self, command):
        raise UnsupportedCommandError("a sensor only talks", code="GW-1701", hint="-")


def driver(name, **match):
    return Driver(
        name, LinkKind.BLE_ADVERT, Settings, Counting, match=Match(**match),
        counters=lambda codec: codec.counters,
    )  # fmt: skip


@pytest.fixture
def radio(bench):
    link = FakeLink(bench.clock, "ble", "ble")
    lanes = [
        AdvertLane(
            link,
            driver("one", service_uuids=frozenset({"u1"}), company_ids=frozenset({7})),
            {},
            intake=bench.intake,
        ),
        AdvertLane(link, driver("two", company_ids=frozenset({9})), {}, intake=bench.intake),
    ]
    return link, lanes, AdvertHost(link, lanes, bench.intake)


def advert(address, service=None, company=None):
    return Advert(address, -60, service or {}, company or {})


async def test_an_advert_reaches_who_wants_it_once(bench, radio, running):
    link, lanes, host = radio
    async with running(bench.intake, host, *lanes):
        link.feed(
            advert(A, {"u1": b""}, {7: b""}),
            advert(B, company={9: b""}),
            advert(A, {"u2": b""}, {1: b""}),
        )
        await eventually(lambda: len(bench.routed) == 2)
        assert host.counts == {"started": 1, "adverts": 3, "unwanted": 1}
    assert [lane.counts["adverts"] for lane in lanes] == [1, 1]
    assert {row.slug for row in bench.identities.rows.values()} == {"one-aaaaaa", "two-bbbbbb"}


async def test_each_address_has_its_own_codec(bench, radio, running):
    link, lanes, host = radio
    async with running(bench.intake, host, *lanes):
        link.feed(*(advert(address, {"u1": b""}) for address in (A, B, A)))
        await eventually(lambda: len(bench.routed) == 3)
    assert sorted(json.loads(m.body)["payload"]["n"] for m in bench.routed) == [1, 1, 2]
    assert lanes[0].state()["codec"] == {"good": 3}


async def test_a_driver_that_fails_leaves_the_others_alone(bench, radio, running):
    link, lanes, host = radio
    async with running(bench.intake, host, lanes[1]), running(lanes[0]) as (broken,):
        link.feed(advert(A, {"u1": b"!"}), advert(B, company={9: b""}))
        await eventually(lambda: len(bench.routed) == 1)
        assert isinstance(broken.exception(), RuntimeError)
        async with running(lanes[0]):  # the supervisor's restart
            link.feed(advert(A, {"u1": b""}))
            await eventually(lambda: len(bench.routed) == 2)


def test_codecs_and_waiting_adverts_are_bounded(bench, radio, monkeypatch):
    monkeypatch.setattr(advert_host, "MOST_CODECS", 2)
    _, (lane, _), host = radio
    for number in range(4):
        lane._decode(advert(f"A{number}:AA:AA:AA:AA:AA", {"u1": b""}), bench.clock.stamp())
    assert lane.state()["counters"]["addresses"] == 2
    for _ in range(advert_host.MOST_QUEUED + 3):
        host.sort(advert(A, {"u1": b""}), bench.clock.stamp())
    assert lane.counts["dropped"] == 3


def test_a_command_is_refused_in_the_drivers_words(radio):
    _, (lane, _), _ = radio
    results = []
    command = Command("c", DeviceUuid("d"), DeviceUuid("a"), "set", {}, 9_000)
    lane.submit(command, HardwareId(f"ble:{A}"), results.append)
    assert results == [CommandResult("c", Outcome.REFUSED, "a sensor only talks")]


async def test_devices_are_offline_when_the_scanner_ends(bench, radio, running):
    link, lanes, host = radio
    async with running(bench.intake, *lanes):
        async with running(host):
            link.feed(advert(A, {"u1": b""}))
            await eventually(
                lambda: bench.retained.get("devices/one-aaaaaa/availability") == b"online"
            )
        assert bench.retained["devices/one-aaaaaa/availability"] == b"offline"
        assert link.readers == 0
