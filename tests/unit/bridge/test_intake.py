"""What codecs say reaches the router once, in order, as the right device."""

import json

import pytest

from gateway.bridge.devices import MOST_VALUES, Source
from gateway.bridge.intake import SILENT_AFTER_MS
from gateway.errors import ConfigError
from gateway.model import Event, HardwareId, Identity, MessageKind, Reading, is_uuid
from tests.fakes.waiting import eventually
from tests.unit.bridge.fakes import NODE, OWNER, Bench, Witness

SOURCE = Source("line-json", "port", "serial:x")
KNOWN = Identity(HardwareId("serial:x/a"), "uuid-a", "a", "line-json", "old-port", 5, 7)


def reading(bench, device="a", quantity="t", value=1.5, unit="Cel"):
    return Reading(HardwareId(f"serial:x/{device}"), quantity, value, unit, bench.clock.stamp())


async def loaded():
    bench = Bench(KNOWN)
    await bench.intake.load()
    return bench


async def test_a_known_device_is_routed_at_once():
    bench = await loaded()
    ticket = bench.intake.accept(
        [reading(bench), reading(bench, quantity="h", value=48, unit="%RH")], SOURCE
    )
    assert ticket.settle == 1
    (message,) = bench.routed
    assert (message.kind, message.sender) == (MessageKind.READING, "uuid-a")
    assert message.body == b'{"payload":{"t":1.5,"h":48},"units":{"t":"Cel","h":"%RH"}}'
    assert message.created == bench.clock.stamp()
    assert is_uuid(message.id)


async def test_ids_are_never_the_same():
    bench = await loaded()
    for _ in range(3):
        bench.intake.accept([reading(bench), reading(bench)], SOURCE)
    assert len({message.id for message in bench.routed}) == 6


async def test_plain_topics_carry_merged_values_events_and_availability():
    bench = await loaded()
    assert bench.retained == {"devices/a/availability": b"offline"}
    bench.intake.accept([reading(bench), reading(bench, value=2)], SOURCE)
    bench.intake.accept([reading(bench, quantity="h", value=48)], SOURCE)
    bench.intake.accept([Event(HardwareId("serial:x/a"), "press", bench.clock.stamp())], SOURCE)
    assert [json.loads(p) for _, p in bench.topics("/reading")] == [{"t": 2}, {"t": 2, "h": 48}]
    assert ("devices/a/event", b'{"event":"press"}', False) in bench.published
    assert bench.retained == {
        "devices/a/availability": b"online",
        "devices/a/reading": b'{"t":2,"h":48}',
    }


async def test_when_and_where_a_device_was_heard_is_noted_once_a_batch():
    bench = await loaded()
    bench.intake.accept([reading(bench), reading(bench)], SOURCE)
    assert bench.identities.noted == [("uuid-a", bench.clock.wall_ms(), "port")]
    assert bench.intake.seen()[0].last_seen_ms == bench.clock.wall_ms()


async def test_unknown_hardware_is_claimed_and_loses_nothing(bench, running):
    for value in range(3):
        assert bench.intake.accept([reading(bench, value=value)], SOURCE) is None
    async with running(bench.intake):
        await eventually(lambda: bench.routed)
    assert [json.loads(m.body)["payload"]["t"] for m in bench.routed] == [0, 1, 2]
    (identity,) = bench.identities.rows.values()
    assert (identity.slug, identity.driver, identity.link, identity.is_demo) == (
        "a",
        "line-json",
        "port",
        False,
    )
    document = bench.identities.documents[identity.uuid]
    assert document["gateway"] == NODE
    assert document["meshblu"]["whitelists"]["message"]["from"] == [{"uuid": OWNER}, {"uuid": NODE}]


async def test_a_node_without_an_owner_lists_itself_alone(bench, running):
    bench.owner = None
    bench.intake.accept([reading(bench)], SOURCE)
    async with running(bench.intake):
        await eventually(lambda: bench.routed)
    (document,) = bench.identities.documents.values()
    assert document["meshblu"]["whitelists"]["discover"]["view"] == [{"uuid": NODE}]
    assert "owner" not in document


async def test_a_slow_claim_delays_its_own_device_only(bench, running):
    bench.identities.gate.clear()
    bench.identities.hangs_for = ("serial:x/slow",)
    async with running(bench.intake):
        bench.intake.accept(
            [reading(bench, "slow", value=1), reading(bench, "quick", value=2)], SOURCE
        )
        await eventually(lambda: len(bench.routed) == 1)
        bench.intake.accept(
            [reading(bench, "slow", value=3), reading(bench, "quick", value=4)], SOURCE
        )
        assert [json.loads(m.body)["payload"]["t"] for m in bench.routed] == [2, 4]
        bench.identities.gate.set()
        await eventually(lambda: len(bench.routed) == 4)
    assert [json.loads(m.body)["payload"]["t"] for m in bench.routed] == [2, 4, 1, 3]


async def test_what_waits_for_a_claim_is_bounded(bench, running):
    bench.identities.gate.clear()
    bench.identities.hangs_for = ("serial:x/a",)
    async with running(bench.intake):
        for value in range(300):
            bench.intake.accept([reading(bench, value=value)], SOURCE)
        bench.identities.gate.set()
        await eventually(lambda: bench.routed)
    values = [json.loads(m.body)["payload"]["t"] for m in bench.routed]
    assert values == list(range(44, 300))
    assert bench.intake.dropped == 44


async def test_a_claim_that_fails_is_tried_again(bench, running):
    bench.identities.failures = 1
    bench.intake.accept([reading(bench)], SOURCE)
    async with running(bench.intake):
        await eventually(lambda: bench.routed)


async def test_claims_survive_a_restart_of_the_service(bench, running):
    bench.identities.gate.clear()
    bench.identities.hangs_for = ("serial:x/a",)
    bench.intake.accept([reading(bench)], SOURCE)
    async with running(bench.intake):
        pass
    bench.identities.gate.set()
    async with running(bench.intake):
        await eventually(lambda: bench.routed)


async def test_two_devices_never_share_a_slug(bench, running):
    other = Source("line-json", "other", "serial:y")
    bench.intake.accept([reading(bench)], SOURCE)
    bench.intake.accept([Reading(HardwareId("serial:y/a"), "t", 1, "", bench.clock.stamp())], other)
    async with running(bench.intake):
        await eventually(lambda: len(bench.routed) == 2)
    assert {row.slug for row in bench.identities.rows.values()} == {"a", "a-2"}


async def test_the_older_identity_wins(running):
    bench = Bench(KNOWN)  # not loaded: the store knows more than we do
    bench.intake.accept([reading(bench)], SOURCE)
    async with running(bench.intake):
        await eventually(lambda: bench.routed)
    assert bench.routed[0].sender == "uuid-a"


async def test_a_demo_device_is_called_so(bench, running):
    bench.intake.accept([reading(bench)], Source("line-json", "port", "serial:x", is_demo=True))
    async with running(bench.intake):
        await eventually(lambda: bench.routed)
        (identity,) = bench.identities.rows.values()
        assert (identity.slug, identity.is_demo) == ("demo-a", True)
        assert await bench.intake.forget_demo() == 1
    assert not bench.identities.rows
    assert not bench.retained


async def test_what_json_cannot_carry_is_dropped_and_the_rest_goes_on():
    bench = await loaded()
    bench.intake.accept([reading(bench, value=float("nan"))], SOURCE)
    bench.intake.accept([reading(bench, value=2)], SOURCE)
    assert len(bench.routed) == 1
    assert bench.intake.counts["unfit"] == 1
    assert bench.retained["devices/a/reading"] == b'{"t":2}'


async def test_a_silent_device_goes_offline_and_comes_back():
    bench = await loaded()
    bench.intake.accept([reading(bench)], SOURCE)
    bench.intake.note_silence()
    assert bench.retained["devices/a/availability"] == b"online"
    bench.clock.advance(SILENT_AFTER_MS + 1)
    bench.intake.note_silence()
    assert bench.retained["devices/a/availability"] == b"offline"
    bench.intake.accept([reading(bench)], SOURCE)
    assert bench.retained["devices/a/availability"] == b"online"


async def test_a_lost_link_takes_its_devices_offline_and_no_others():
    bench = await loaded()
    bench.intake.accept([reading(bench)], SOURCE)
    bench.intake.link_lost("old-port")
    assert bench.retained["devices/a/availability"] == b"online"
    bench.intake.link_lost("port")
    assert bench.retained["devices/a/availability"] == b"offline"


async def test_everybody_is_offline_when_the_node_stops(running):
    bench = await loaded()
    async with running(bench.intake):
        bench.intake.accept([reading(bench)], SOURCE)
    assert bench.retained["devices/a/availability"] == b"offline"


async def test_observers_hear_of_everything_in_order():
    bench = await loaded()
    witness = Witness()
    bench.intake.observe(witness)
    bench.intake.accept([reading(bench, value=1), reading(bench, value=2)], SOURCE)
    bench.intake.accept([Event(HardwareId("serial:x/a"), "press", bench.clock.stamp())], SOURCE)
    await bench.intake.forget(KNOWN.uuid)
    assert witness.told == [
        ("known", "a"),
        ("availability", "a", True),
        ("reading", "a", {"t": (2, "Cel")}),
        ("event", "a", "press"),
        ("forgotten", "a"),
    ]


async def test_a_renamed_device_leaves_no_retained_topics_behind():
    bench = await loaded()
    bench.intake.accept([reading(bench)], SOURCE)
    await bench.intake.rename(KNOWN.uuid, "greenhouse")
    assert bench.retained == {
        "devices/greenhouse/availability": b"online",
        "devices/greenhouse/reading": b'{"t":1.5}',
    }
    bench.intake.accept([reading(bench, value=2)], SOURCE)
    assert bench.retained["devices/greenhouse/reading"] == b'{"t":2}'


@pytest.mark.parametrize(
    ("uuid", "slug", "code"),
    [("uuid-a", "Bad Name", "GW-1710"), ("nobody", "x", "GW-1707"), ("uuid-a", "b", "GW-1708")],
)
async def test_a_rename_that_cannot_be_is_refused(uuid, slug, code):
    other = Identity(HardwareId("serial:x/b"), "uuid-b", "b", "line-json", "port", 5, 7)
    bench = Bench(KNOWN, other)
    await bench.intake.load()
    with pytest.raises(ConfigError) as caught:
        await bench.intake.rename(uuid, slug)
    assert caught.value.code == code


async def test_a_device_that_makes_up_quantities_keeps_the_newest_of_them():
    bench = await loaded()
    for number in range(MOST_VALUES + 40):
        bench.intake.accept([reading(bench, quantity=f"q{number}")], SOURCE)
    last = json.loads(bench.retained["devices/a/reading"])
    assert list(last) == [f"q{number}" for number in range(40, MOST_VALUES + 40)]
