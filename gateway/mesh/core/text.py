"""JSON as it comes in from outside: strict, and no deeper than anybody needs."""

import json
from typing import Any

MOST_DEPTH = 100  # MongoDB's own bound for documents; far from Python's recursion limit


def parsed(text: bytes) -> Any:
    """Return the value of a JSON text; raises ValueError for anything else: NaN, deep nesting, half characters."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        if b"\\u" in text or not text.isascii():
            # Half of a surrogate pair is JSON to Python, but no text that could be stored or sent on.
            json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if text.count(b"[") + text.count(b"{") > MOST_DEPTH:
        _check_depth(value)
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise ValueError("nested too deeply")
