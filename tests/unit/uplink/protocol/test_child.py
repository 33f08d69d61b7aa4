"""What the child's machine asks for, and only when."""

import pytest

from gateway.model import Lane, RangeSet, Refusal
from gateway.model.block import seal
from gateway.model.log_ports import LogState
from gateway.uplink.protocol import child_events as ev
from gateway.uplink.protocol import effects as fx
from gateway.uplink.protocol import frames as fr
from gateway.uplink.protocol.child import ChildMachine

NODE = "00000000-0000-4000-8000-000000000001"
LOG, OLD, STORE = "a" * 32, "b" * 32, "c" * 32
CREDIT = fr.Credit(1 << 20, 1 << 20, 1 << 20)


def now(ms):
    return fx.Now(ms, 50_000 + ms)


def block(log, first):
    return seal(log, first, Lane.NORMAL, "boot", [b"event\tx\t1\t1\t\t{}\n"])


def frames(effects):
    return [effect.frame for effect in effects if isinstance(effect, fx.Send)]


def only(effects, kind):
    return [effect for effect in effects if isinstance(effect, kind)]


class Machine(ChildMachine):
    """Remembers the read it asked for last."""

    read = None

    def step(self, event, now):
        effects = super().step(event, now)
        self.read = next(iter(only(effects, fx.ReadBlocks)), self.read)
        return effects


@pytest.fixture
def machine():
    machine = Machine(NODE, STORE, "boot")
    logs = (LogState(LOG, 1, 10, False, 0), LogState(OLD, 3, 4, True, 0, {NODE: 4}))
    machine.step(ev.Linked(fr.Hello(NODE, STORE, LOG, "boot", 0, 0, logs)), now(0))
    return machine


def welcomed(machine, known=None, at=10):
    welcome = fr.Welcome("mesh", STORE, 7, 99_000, 0, known or {}, CREDIT)
    return machine.step(ev.Received(welcome), now(at))


def test_live_blocks_are_read_before_history(machine):
    (read,) = only(welcomed(machine), fx.ReadBlocks)
    assert read.after == 10
    (read,) = only(machine.step(ev.BlocksRead(read, ()), now(20)), fx.ReadBlocks)
    assert read.after is None


def test_what_the_parent_has_is_settled_before_anything_is_read(machine):
    effects = welcomed(machine, {LOG: fr.Known(RangeSet.of([(1, 4)]))})
    (settle,) = only(effects, fx.Settle)
    assert not only(effects, fx.ReadBlocks)
    assert only(machine.step(ev.Settled(settle.receipt), now(20)), fx.ReadBlocks)


def test_a_refusal_is_confirmed_only_after_its_dead_letter(machine):
    welcomed(machine)
    machine.step(ev.BlocksRead(machine.read, [block(LOG, 11)]), now(20))
    taken = fr.TakenFrame(LOG, RangeSet.of([(11, 11)]), {11: Refusal.FORBIDDEN}, CREDIT)
    (settle,) = only(machine.step(ev.Received(taken), now(30)), fx.Settle)
    (sent,) = frames(machine.step(ev.BlocksRead(machine.read, [block(LOG, 12)]), now(40)))
    assert sent.confirm == {}
    machine.step(ev.Settled(settle.receipt), now(50))
    (sent,) = frames(machine.step(ev.BlocksRead(machine.read, [block(LOG, 13)]), now(60)))
    assert sent.confirm == {LOG: RangeSet.of([(11, 11)])}


def test_an_ended_log_is_reported_and_forgotten_once_complete(machine):
    ends = [frame for frame in frames(welcomed(machine)) if isinstance(frame, fr.End)]
    assert [(end.log, end.last, end.device_numbers) for end in ends] == [(OLD, 4, {NODE: 4})]
    part = fr.TakenFrame(OLD, RangeSet.of([(1, 3)]), {}, CREDIT, is_closed=True)
    assert not only(machine.step(ev.Received(part), now(20)), fx.ForgetLog)
    whole = fr.TakenFrame(OLD, RangeSet.of([(1, 4)]), {}, CREDIT, is_closed=True)
    assert only(machine.step(ev.Received(whole), now(30)), fx.ForgetLog) == [fx.ForgetLog(OLD)]


def test_a_parent_that_does_not_answer_hello_is_left(machine):
    assert not only(machine.step(ev.Tick(), now(9_999)), fx.Close)
    assert only(machine.step(ev.Tick(), now(10_000)), fx.Close)


def test_a_black_hole_after_welcome_is_left_after_a_second_try(machine):
    welcomed(machine)
    machine.step(ev.BlocksRead(machine.read, [block(LOG, 11)]), now(20))
    assert not only(machine.step(ev.Tick(), now(6_000)), fx.Close)
    (sent,) = frames(machine.step(ev.BlocksRead(machine.read, [block(LOG, 11)]), now(6_010)))
    assert sent.block.first == 11
    assert only(machine.step(ev.Tick(), now(12_000)), fx.Close)


def test_a_welcome_for_another_store_is_ignored(machine):
    welcome = fr.Welcome("mesh", "d" * 32, 7, 99_000, 0, {}, CREDIT)
    machine.step(ev.Received(welcome), now(10))
    assert not machine.is_online


def test_blocks_read_for_a_session_that_is_over_are_dropped(machine):
    (read,) = only(welcomed(machine), fx.ReadBlocks)
    machine.step(ev.Lost(), now(20))
    assert machine.step(ev.BlocksRead(read, [block(LOG, 11)]), now(30)) == []


def test_the_parents_clock_becomes_an_anchor_before_the_first_block(machine):
    effects = welcomed(machine)
    (kept,) = only(effects, fx.KeepAnchor)
    assert kept.anchor.wall_of(5) == 99_000
    assert fr.AnchorFrame(kept.anchor) in frames(effects)


def test_a_probe_is_answered(machine):
    welcomed(machine)
    (sign,) = frames(machine.step(ev.Received(fr.Time(0, is_probe=True)), now(20)))
    assert isinstance(sign, fr.Time)


def test_a_needed_device_is_told_and_the_block_offered_again_behind_it(machine):
    welcomed(machine)
    gather = fx.GatherDocuments(1)
    machine.step(ev.BlocksRead(machine.read, [block(LOG, 11)]), now(20))
    effects = machine.step(ev.Received(fr.Nack(LOG, 11, "needs")), now(30))
    assert only(effects, fx.GatherDocuments) == [gather]
    assert frames(machine.step(ev.BlocksRead(machine.read, [block(LOG, 11)]), now(35))) == []
    effects = machine.step(ev.DocumentsGathered(gather, [], "digest"), now(40))
    assert isinstance(frames(effects)[0], fr.Register)
    (sent,) = frames(machine.step(ev.BlocksRead(machine.read, [block(LOG, 11)]), now(50)))
    assert sent.block.first == 11


def test_a_device_that_changes_while_devices_are_gathered_is_told_as_well(machine):
    welcomed(machine)
    (first,) = only(machine.step(ev.DocumentsChanged(), now(20)), fx.GatherDocuments)
    assert not only(machine.step(ev.DocumentsChanged(), now(21)), fx.GatherDocuments)
    effects = machine.step(ev.DocumentsGathered(first, (), "one"), now(22))
    (second,) = only(effects, fx.GatherDocuments)
    effects = machine.step(ev.DocumentsGathered(second, (), "two"), now(23))
    assert [frame.digest for frame in frames(effects) if isinstance(frame, fr.Register)] == ["two"]
    assert not only(effects, fx.GatherDocuments)
