"""Which names, ids and values of a text line are fit to become a reading."""

import math
import re
from typing import TypeGuard

from gateway.model.reading import Scalar

MOST_NAME_CHARS = 64
MOST_TEXT_CHARS = 256  # a state or a version; longer text is not a reading
MOST_INTEGER = 1 << 63  # beyond, other people's JSON parsers lose digits or fail
NUMBER = re.compile(r"[+-]?[0-9]{1,19}\Z")
DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\Z")
NAME = re.compile(r"[^\W\d][\w .#/-]*\Z")


def is_name(text: str) -> bool:
    """Return whether `text` may name a quantity: starts with a letter, says no more than 64 characters."""
    return len(text) <= MOST_NAME_CHARS and NAME.match(text) is not None


def device_id(value: object) -> str | None:
    """Return a device's own id as text, or None when it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    if isinstance(value, int) and not -MOST_INTEGER <= value < MOST_INTEGER:
        return None
    text = str(value).strip()
    if not 0 < len(text) <= MOST_NAME_CHARS or not text.isprintable():
        return None
    return text


def is_scalar(value: object) -> TypeGuard[Scalar]:
    """Return whether a parsed JSON value can be a reading: finite, short, and writable as UTF-8."""
    if isinstance(value, bool):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -MOST_INTEGER <= value < MOST_INTEGER
    return isinstance(value, str) and len(value) <= MOST_TEXT_CHARS and is_writable(value)


def is_writable(text: str) -> bool:
    r"""Return whether text has a UTF-8 form: JSON's `"\ud800"` parses, but half a surrogate pair is no character."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def scalar_of(text: str) -> Scalar | None:
    """Return a number where the text is one, else the text itself; None for what is no reading."""
    text = text.strip()
    if NUMBER.match(text):
        number = int(text)
        return number if -MOST_INTEGER <= number < MOST_INTEGER else None
    if DECIMAL.match(text):
        value = float(text)
        return value if math.isfinite(value) else None
    if not text or len(text) > MOST_TEXT_CHARS or not text.isprintable():
        return None
    return text
