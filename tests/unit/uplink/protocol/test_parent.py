"""What the parent's machine answers, and only when."""

from dataclasses import replace

import pytest

from gateway.model import Command, DeviceUuid, Lane, RangeSet, Receipt, Refusal
from gateway.model.block import seal
from gateway.model.log_ports import DownCommand, Intake, LogState
from gateway.uplink.protocol import effects as fx
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol import parent_events as ev
from gateway.uplink.protocol.parent import ParentFacts, ParentMachine

NODE = DeviceUuid("00000000-0000-4000-8000-000000000001")
MINE = DeviceUuid("00000000-0000-4000-8000-0000000000a0")
OTHERS = DeviceUuid("00000000-0000-4000-8000-0000000000b0")
NEW = DeviceUuid("00000000-0000-4000-8000-0000000000c0")
LOG = "a" * 32
NOW = fx.Now(1000, 50_000)
SPEAKERS = {MINE: NODE, OTHERS: DeviceUuid("00000000-0000-4000-8000-000000000002")}
HELLO = fr.Hello(NODE, LOG, LOG, "boot", 1, 2, (LogState(LOG, 1, 10, False, 0),))


def block(first, *senders, body=b"{}"):
    lines = [b"event\t%s\t1\t1\t\t%s\n" % (s.encode(), body) for s in senders]
    return seal(LOG, first, Lane.NORMAL, "boot", lines)


def offered(machine, one, prev=0, fence=7):
    return machine.step(ev.Received(fr.BlockFrame(fence, one, prev)), NOW)


def took(machine, request, new=()):
    numbers = RangeSet(((request.block.first, request.block.last),))
    return machine.step(ev.Took(request, Intake(new, Receipt(LOG, numbers, request.refused))), NOW)


@pytest.fixture
def machine():
    machine = ParentMachine(NODE, ParentFacts("mesh", fr.Credit(1, 1, 1)), SPEAKERS.get)
    machine.step(ev.Received(HELLO), NOW)
    machine.step(ev.Opened(7, {}), NOW)
    return machine


def test_a_block_is_acknowledged_only_after_its_commit(machine):
    (take,) = offered(machine, block(11, MINE))
    assert isinstance(take, fx.Take)
    deliver, send = took(machine, take, take.records)
    assert isinstance(deliver, fx.Deliver)
    assert not deliver.is_late
    assert send.frame.ranges == RangeSet.of([(11, 11)])


def test_what_the_child_had_before_hello_is_late(machine):
    (take,) = offered(machine, block(10, MINE))
    assert took(machine, take, take.records)[0].is_late


def test_a_repeated_block_is_acknowledged_and_not_routed_again(machine):
    (take,) = offered(machine, block(11, MINE))
    assert [type(effect) for effect in took(machine, take)] == [fx.Send]


def test_a_device_of_another_child_is_refused_by_record(machine):
    (take,) = offered(machine, block(1, MINE, OTHERS, MINE))
    assert take.refused == {2: Refusal.NOT_YOURS}


def test_a_body_that_is_no_object_is_refused_as_malformed(machine):
    (take,) = offered(machine, block(1, MINE, body=b"[1]"))
    assert take.refused == {1: Refusal.MALFORMED}


def test_an_unknown_device_is_asked_for_once_then_refused(machine):
    (nack,) = offered(machine, block(1, NEW))
    assert (nack.frame.reason, nack.frame.first) == ("needs", 1)
    (apply,) = machine.step(ev.Received(fr.Register((), "digest")), NOW)
    machine.step(ev.Applied(apply), NOW)
    (take,) = offered(machine, block(1, NEW))
    assert take.refused == {1: Refusal.NOT_YOURS}


def test_blocks_wait_for_the_register_before_them(machine):
    (apply,) = machine.step(ev.Received(fr.Register((), "digest")), NOW)
    assert offered(machine, block(1, MINE)) == []
    registered, take = machine.step(ev.Applied(apply), NOW)
    assert isinstance(registered.frame, fr.Registered)
    assert isinstance(take, fx.Take)


def test_a_block_is_sent_back_when_the_one_before_it_is_not_here(machine):
    (nack,) = offered(machine, block(5, MINE), prev=4)
    assert nack.frame.reason == "order"
    offered(machine, block(4, MINE))
    assert isinstance(offered(machine, block(5, MINE), prev=4)[0], fx.Take)


def test_our_own_fault_is_a_nack_and_never_a_refusal(machine):
    (take,) = offered(machine, block(1, MINE))
    (nack,) = machine.step(ev.Took(take, None, "store"), NOW)
    assert nack.frame.reason == "store"
    assert nack.frame.retry_after_ms > 0


def test_a_block_that_cannot_be_read_is_set_aside_the_third_time(machine):
    broken = replace(block(1, MINE, MINE), crc=1)
    assert [offered(machine, broken)[0].frame.reason for _ in range(2)] == ["fault", "fault"]
    (take,) = offered(machine, broken)
    assert take.refused == {1: Refusal.MALFORMED, 2: Refusal.MALFORMED}


def test_an_old_fence_ends_the_session(machine):
    assert isinstance(offered(machine, block(1, MINE), fence=6)[0], fx.Close)
    assert offered(machine, block(1, MINE)) == []


def test_a_taken_names_refusals_of_earlier_blocks_until_they_are_confirmed(machine):
    (take,) = offered(machine, block(1, OTHERS))
    took(machine, take)
    (take,) = offered(machine, block(2, MINE), prev=1)
    assert took(machine, take, take.records)[-1].frame.refused == {1: Refusal.NOT_YOURS}
    frame = fr.BlockFrame(7, block(3, MINE), 2, {LOG: RangeSet.of([(1, 1)])})
    confirm, take = machine.step(ev.Received(frame), NOW)
    assert isinstance(confirm, fx.Confirm)
    assert took(machine, take, take.records)[-1].frame.refused == {}


def test_a_command_is_repeated_until_it_is_taken_and_dropped_when_its_time_is_over(machine):
    kept = DownCommand(LOG, 1, Command("c", MINE, MINE, "set", {}, 0), 60_000)
    assert isinstance(machine.step(ev.CommandKept(kept), NOW)[0].frame, fr.CommandFrame)
    again = machine.step(ev.Tick(), fx.Now(6_000, 55_000))
    assert isinstance(again[0].frame, fr.CommandFrame)
    assert machine.step(ev.Tick(), fx.Now(12_000, 61_000)) == []


def test_a_block_before_hello_is_ignored():
    machine = ParentMachine(NODE, ParentFacts("mesh", fr.Credit(1, 1, 1)), SPEAKERS.get)
    assert offered(machine, block(1, MINE)) == []


def test_another_version_is_refused_with_words():
    machine = ParentMachine(NODE, ParentFacts("mesh", fr.Credit(1, 1, 1)), SPEAKERS.get)
    send, close = machine.step(ev.Received(replace(HELLO, version=9)), NOW)
    assert send.frame.reason == "version"
    assert isinstance(close, fx.Close)


def test_a_child_that_confirms_everything_confirms_only_what_was_refused(machine):
    (take,) = offered(machine, block(11, OTHERS))
    took(machine, take)
    everything = {LOG: RangeSet.of([(1, 1 << 62)]), "b" * 32: RangeSet.of([(1, 1 << 62)])}
    frame = fr.BlockFrame(7, block(12, MINE), 11, everything)
    confirm, take = machine.step(ev.Received(frame), NOW)
    assert confirm == fx.Confirm(LOG, RangeSet.of([(11, 11)]))
    assert isinstance(take, fx.Take)
