"""JSON from outside."""

import pytest

from gateway.mesh.core.text import MOST_DEPTH, parsed


def test_plain_json_is_read() -> None:
    assert parsed(b'{"a":[1,"[[[",null]}') == {"a": [1, "[[[", None]}


def test_brackets_in_texts_are_no_depth() -> None:
    assert parsed(b'"' + b"[" * 500 + b'"') == "[" * 500


def test_many_shallow_objects_are_fine() -> None:
    assert len(parsed(b"[" + b",".join([b"{}"] * 500) + b"]")) == 500


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"\xff\xfe\xfd",
        b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1),
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        parsed(text)
