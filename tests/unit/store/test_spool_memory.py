"""The volatile end of a log: whatever is taken in whatever order, the watermark tells the truth."""

import secrets

from hypothesis import given
from hypothesis import strategies as st

from gateway.app.meshing import MOST_BODY_BYTES
from gateway.model import RangeSet, Receipt, Refusal
from gateway.model.block import MOST_RAW_BYTES, unpack
from gateway.store.spool_memory import SpoolMemory
from tests.contract.test_spool import message

COUNT = 12


def filled(per_block: int) -> SpoolMemory:
    memory = SpoolMemory("aa" * 16)
    for n in range(COUNT):
        if n % per_block == 0:
            memory.begin(message(), due=1.0)
        memory.append(message(str(n)), "")
    memory.seal()
    return memory


@given(st.integers(1, COUNT), st.lists(st.sets(st.integers(1, COUNT)), max_size=6))
def test_everything_up_to_the_watermark_is_settled_and_the_next_is_not(
    per_block: int, receipts: list[set[int]]
) -> None:
    memory = filled(per_block)
    settled: set[int] = set()
    taken = 0
    for numbers in receipts:
        settled |= numbers
        count, _ = memory.settle(Receipt(memory.log, RangeSet.of((n, n) for n in numbers)))
        taken += count
    through = memory.settled_through()
    assert set(range(1, through + 1)) <= settled
    assert through + 1 not in settled
    assert taken == len(settled)
    assert memory.records() == COUNT - len(settled)
    waiting = {n for b in memory.waiting() for n in range(b.first, b.last + 1)}
    assert set(range(1, COUNT + 1)) - settled <= waiting


@given(st.integers(1, COUNT))
def test_bytes_are_those_of_the_sealed_blocks(per_block: int) -> None:
    memory = filled(per_block)
    assert memory.bytes == sum(len(block.data) for block in memory.waiting())
    memory.settle(Receipt(memory.log, RangeSet.of([(1, COUNT)])))
    assert memory.bytes == 0


def test_a_refusal_holds_the_watermark_until_its_letter_is_on_disk() -> None:
    memory = filled(3)
    receipt = Receipt(memory.log, RangeSet.of([(1, 3)]), {2: Refusal.FORBIDDEN})
    _, letters = memory.settle(receipt)
    assert [letter.record.number for letter in letters] == [2]
    assert memory.settled_through() == 1
    memory.bury([2])
    assert memory.settled_through() == 3


def test_what_is_being_written_waits_for_the_parent_still() -> None:
    memory = filled(COUNT)
    [written] = memory.start_writing()
    assert memory.waiting() == [written.block]
    assert memory.due() is None
    memory.finish_writing()
    assert memory.waiting() == []
    assert memory.settled_through() == COUNT


def test_a_huge_message_gets_a_block_that_can_be_unpacked() -> None:
    memory = SpoolMemory("aa" * 16)
    memory.begin(message(), due=1.0)
    memory.append(message(), "")
    huge = message("h" * (MOST_RAW_BYTES - 200))
    assert not memory.fits(huge)
    memory.begin(huge, due=1.0)
    memory.append(huge, "")
    memory.seal()
    assert [len(unpack(block)) for block in memory.waiting()] == [1, 1]


def test_a_block_with_the_largest_message_of_all_fits_a_packet_even_if_nothing_packs() -> None:
    memory = SpoolMemory("aa" * 16)
    largest = message(secrets.token_hex(MOST_BODY_BYTES // 2))
    for each in (message("small"), message(secrets.token_hex(31_000)), largest):
        if not memory.fits(each):
            memory.begin(each, due=1.0)
        memory.append(each, "")
    memory.seal()
    assert all(block.raw_bytes < 176 * 1024 for block in memory.waiting())
