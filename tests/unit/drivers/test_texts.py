"""Only what can be a reading everywhere becomes one."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.texts import device_id, is_name, is_scalar, scalar_of


@given(st.text(max_size=40))
def test_a_field_becomes_a_value_that_json_can_carry_or_nothing(text):
    value = scalar_of(text)
    if value is not None:
        assert json.loads(json.dumps(value, allow_nan=False)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("48", 48), ("-0.5", -0.5), (" 1e3 ", 1000.0), (".5", 0.5), ("ON", "ON"), ("nan", "nan"), ("1_0", "1_0"),
     ("9" * 19, None), ("1e999", None), ("", None), ("a\x00", None)],
)  # fmt: skip
def test_numbers_are_numbers_and_words_are_words(text, value):
    assert scalar_of(text) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, 1 << 63, "x" * 257, "\ud800", None, [], {}])
def test_what_others_could_not_read_is_no_scalar(value):
    assert not is_scalar(value)


@pytest.mark.parametrize("value", [True, 1.5, "", "", -5, "grün"])
def test_numbers_flags_and_short_texts_are_scalars(value):
    assert is_scalar(value)


@pytest.mark.parametrize("value", [True, None, 1.5, "", "  ", "a\nb", "x" * 65, 1 << 70])
def test_an_id_is_a_short_printable_word_or_a_number(value):
    assert device_id(value) is None


def test_names_start_with_a_letter():
    assert is_name("temp_1")
    assert not is_name("1temp")
    assert not is_name("")
    assert not is_name("t" * 65)
