"""The line of every key is known, however the TOML is written."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.positions import Positions
from gateway.config.reference import toml_value

TEXT = '''# a comment with [brackets] and "quotes
title = "x # no comment"
[a.b]
c = 1
d.e = """
[not.a.table]
x = 1 \\"""
"""
"quoted key" = 'lit # eral'
[[s]]
n = 1
[[s]]
n = 2
[s.sub]
z = [1,
  { q = 3 }, # ] }
  "]",
]
inline = { f = { g = 1 }, h = [ ] }
[[s.t]]
w = 1979-05-27T07:32:00Z
'''

LINES = [
    (("title",), 2),
    (("a", "b"), 3),
    (("a", "b", "c"), 4),
    (("a", "b", "d", "e"), 5),
    (("a", "b", "quoted key"), 9),
    (("s", 0, "n"), 11),
    (("s", 1), 12),
    (("s", 1, "n"), 13),
    (("s", 1, "sub", "z"), 15),
    (("s", 1, "sub", "z", 1, "q"), 16),
    (("s", 1, "sub", "z", 2), 17),
    (("s", 1, "sub", "inline", "f", "g"), 19),
    (("s", 1, "sub", "inline", "h"), 19),
    (("s", 1, "t", 0, "w"), 21),
    (("s", 1, "nothing"), 12),  # the table in which it is missing
    (("nothing", "at", "all"), 1),
]


@pytest.mark.parametrize(("path", "line"), LINES)
def test_a_key_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(TEXT)
    assert Positions(TEXT).line_of(path) == line


def test_windows_line_ends_count_once() -> None:
    assert Positions("a = 1\r\n\r\nb = 2\r\n").line_of(("b",)) == 3


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.integers() | st.booleans() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), VALUES, min_size=1, max_size=6))
def test_every_top_key_of_any_document_is_on_the_line_it_was_written_on(
    document: dict[str, Any],
) -> None:
    text = "\n".join(f"{name} = {toml_value(value)}" for name, value in document.items())
    tomllib.loads(text)
    positions = Positions(text)
    lines = [positions.line_of((name,)) for name in document]
    assert lines == list(range(1, len(document) + 1))
