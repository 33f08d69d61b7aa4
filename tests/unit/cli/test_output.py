"""How values are written for people."""

import pytest

from gateway.cli.output import coloured, print_table, size, span, value_text, with_unit


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0 s"), (59.9, "59 s"), (3725, "1 h 2 min"), (86_400, "1 d"), (-5, "0 s")],
)
def test_spans_have_their_two_largest_units(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1400, "1.4 kB"), (5e6, "5.0 MB"), (3e9, "3.0 GB")],
)
def test_sizes_are_decimal(count: float, text: str) -> None:
    assert size(count) == text


def test_values_lose_needless_digits_and_whole_numbers_do_not() -> None:
    assert value_text(21.300000001) == "21.3"
    assert value_text(123456789) == "123456789"
    assert with_unit({"value": True, "unit": ""}) == "True"


def test_what_a_client_chose_cannot_command_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table([("a\x1b[2Jb", "c\nd"), ("käse", "\u202ee\x9b")])
    assert capsys.readouterr().out == "a\\u001b[2Jb  c\\u000ad\nkäse         \\u202ee\\u009b\n"


def test_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([("a", "b", "c"), ("long", "x", "")])
    assert capsys.readouterr().out == "a     b  c\nlong  x\n"


def test_what_is_not_a_terminal_gets_no_colour() -> None:
    assert coloured("x", "red") == "x"
