"""The sync protocol under a deterministic storm: hundreds of seeds hold, and each planted bug is found."""

import os

import pytest

from gateway.model import RangeSet
from gateway.uplink.protocol.child import ChildMachine
from gateway.uplink.protocol.parent import ParentMachine
from tests.fakes.sync_sim import BrokenError, World

SEEDS = int(os.environ.get("GATEWAY_SYNC_SEEDS", "240"))
SLICE = 40


@pytest.mark.parametrize("first", range(0, SEEDS, SLICE))
def test_what_was_acknowledged_arrives_exactly_once_and_in_order(first):
    for seed in range(first, min(first + SLICE, SEEDS)):
        World(seed).run()


class ConfirmsTooEarly(ChildMachine):
    """Confirms a refusal when it hears of it, not when the dead letter is durable."""

    def _taken(self, frame, now_ms):
        if frame.refused:
            self._confirm[frame.log] = RangeSet.of((n, n) for n in frame.refused)
        return super()._taken(frame, now_ms)


class TakesAnyOrder(ParentMachine):
    """Takes a block though the one before it was sent back."""

    def _is_next(self, frame):
        return True


PLANTED = {
    "ack before commit": {},
    "number reuse after a crash": {},
    "refusal forgotten on repeat": {},
    "command let through before its commit": {},
    "confirmed before the dead letter": {"child_machine": ConfirmsTooEarly},
    "blocks taken in any order": {"parent_machine": TakesAnyOrder},
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_simulator_finds(bug):
    with pytest.raises(BrokenError, match="seed"):
        for seed in range(400):
            World(seed, bugs=frozenset({bug}), **PLANTED[bug]).run()


def test_a_seed_replays_step_by_step():
    first, second = World(7), World(7)
    first.run()
    second.run()
    assert first.trace == second.trace
    assert first.parent.disk.synced.history == second.parent.disk.synced.history


def test_the_storm_really_takes_refuses_and_commands():
    taken = refused = commands = 0
    for seed in range(20):
        world = World(seed)
        world.run()
        taken += len(world.parent.disk.synced.history)
        refused += len(world.child.disk.synced.dead)
        commands += sum(world.dispatched.values())
    assert taken > 500
    assert refused > 50
    assert commands > 10
