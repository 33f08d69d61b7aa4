"""Lines are found however bytes arrive, and nothing unbounded is kept."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.driver.framing import LineFramer

CHUNKS = st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"x", b"\n")), max_size=12)


def test_a_line_may_come_in_pieces():
    framer = LineFramer()
    assert framer.feed(b"one\r\ntw") == [b"one"]
    assert framer.feed(b"o\n\n\nthree") == [b"two"]
    assert framer.feed(b"\n") == [b"three"]


@given(CHUNKS, st.booleans())
def test_any_cut_gives_the_same_lines(chunks, drops_first):
    whole = LineFramer(16, drops_first=drops_first)
    cut = LineFramer(16, drops_first=drops_first)
    expected = whole.feed(b"".join(chunks))
    assert [line for chunk in chunks for line in cut.feed(chunk)] == expected
    assert cut.overlong == whole.overlong


def test_a_line_that_is_too_long_is_dropped_and_the_next_one_found():
    framer = LineFramer(4)
    assert framer.feed(b"12345\n1234\n") == [b"1234"]
    assert framer.feed(b"123456") == []
    assert framer.feed(b"789\nok\n") == [b"ok"]
    assert framer.overlong == 2


def test_the_line_in_which_the_port_was_opened_can_be_dropped():
    framer = LineFramer(drops_first=True)
    assert framer.feed(b"3.2") == []
    assert framer.feed(b"5\n1013.25\n") == [b"1013.25"]
