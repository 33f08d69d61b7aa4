"""Ranges and commands survive their columns."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Command, DeviceUuid, RangeSet
from gateway.store.texts import command_of, command_text, ranges_of, ranges_text

spans = st.lists(
    st.tuples(st.integers(1, 10_000), st.integers(0, 50)).map(lambda p: (p[0], p[0] + p[1]))
)


@given(spans)
def test_ranges_come_back(pairs: list[tuple[int, int]]) -> None:
    ranges = RangeSet.of(pairs)
    assert ranges_of(ranges_text(ranges)) == ranges


def test_ranges_are_short() -> None:
    assert ranges_text(RangeSet.of([(1, 1_000_000), (1_000_002, 1_000_002)])) == "1-1000000,1000002"


@given(
    st.dictionaries(st.text(), st.one_of(st.text(), st.booleans(), st.integers(-(2**53), 2**53))),
    st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.integers())),
)
def test_commands_come_back(params: dict[str, str | int | bool], respond_to: object) -> None:
    command = Command(
        "c", DeviceUuid("d"), DeviceUuid("a"), "set", params, 5, via="parent", respond_to=respond_to
    )
    assert command_of(command_text(command)) == command
