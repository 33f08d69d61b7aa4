"""Credit, order, pace and patience of offers."""

from gateway.model import Lane, RangeSet
from gateway.model.block import seal
from gateway.uplink.protocol.frames import Credit
from gateway.uplink.protocol.window import OfferWindow

LOG = "a" * 32


def block(first, count=2, pad=0):
    return seal(
        LOG,
        first,
        Lane.NORMAL,
        "b",
        [b"event\tx\t1\t1\t\t{%d}\n" % (n * 7919 ** (1 + pad)) for n in range(count)],
    )


def window(live=1 << 20, history=1 << 20, rate=1 << 20):
    return OfferWindow(Credit(live, history, rate), 0)


def test_offers_of_a_stream_name_the_one_before():
    offers = window()
    assert [offers.offer(block(n), 0, is_live=True) for n in (1, 3, 5)] == [0, 2, 4]
    assert offers.offer(block(1), 0, is_live=False) == 0


def test_one_block_may_always_go_but_no_second_beyond_the_credit():
    offers = window(live=1)
    assert offers.room(0, is_live=True) > 0
    offers.offer(block(1), 0, is_live=True)
    assert offers.room(0, is_live=True) == 0


def test_a_block_sent_back_is_offered_again_with_all_behind_it():
    offers = window()
    for first in (1, 3, 5):
        offers.offer(block(first), 0, is_live=True)
    offers.refused_for_now(LOG, 3, 2000)
    assert offers.keys() == {(LOG, 1)}
    assert offers.room(1999, is_live=True) == 0
    assert offers.offer(block(3), 2000, is_live=True) == 2


def test_an_answered_block_is_not_read_again_before_the_spool_let_go_of_it():
    offers = window()
    offers.offer(block(1), 0, is_live=True)
    offers.answered(LOG, RangeSet.of([(1, 2)]), 10)
    assert offers.keys() == {(LOG, 1)}
    offers.settled(LOG, RangeSet.of([(1, 2)]))
    assert offers.keys() == frozenset()


def test_a_block_of_which_a_part_was_taken_is_still_unanswered():
    offers = window()
    offers.offer(block(1, 4), 0, is_live=True)
    offers.answered(LOG, RangeSet.of([(1, 2)]), 10)
    assert offers.stats()["offered_blocks"] == 1


def test_the_first_late_answer_is_asked_for_again_and_the_second_ends_the_session():
    offers = window()
    offers.offer(block(1), 0, is_live=True)
    assert not offers.overdue(4_999)
    assert offers.keys()
    assert not offers.overdue(5_000)
    assert not offers.keys()
    offers.offer(block(1), 5_000, is_live=True)
    assert offers.overdue(10_000)


def test_patience_grows_with_the_usual_answer():
    offers = window()
    for n in range(40):
        offers.offer(block(1 + 2 * n), 0, is_live=True)
        offers.answered(LOG, RangeSet.of([(1 + 2 * n, 2 + 2 * n)]), 4_000)
    assert 15_000 < offers.patience_ms < 16_100


def test_history_is_paced_and_says_when_to_look_again():
    offers = window(rate=1000)
    while offers.room(0, is_live=False):
        offers.offer(block(1, 4000, pad=3), 0, is_live=False)
        offers.answered(LOG, RangeSet.of([(1, 4000)]), 0)
    due = offers.due_ms(0)
    assert due is not None
    assert due > 0
    assert offers.room(due, is_live=False) > 0
    assert offers.room(0, is_live=True) > 0


def test_slow_answers_shrink_what_history_has_on_its_way():
    offers = window()
    for _ in range(10):
        offers.offer(block(1), 0, is_live=False)
        offers.answered(LOG, RangeSet.of([(1, 2)]), 100)
    wide = offers.room(10_000, is_live=False)
    offers.offer(block(1), 10_000, is_live=False)
    offers.answered(LOG, RangeSet.of([(1, 2)]), 12_000)
    assert offers.room(20_000, is_live=False) < wide
