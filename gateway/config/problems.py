"""What is wrong with a key, in words: where it stands, what was found, what is expected, what to do."""

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

Loc = tuple[str | int, ...]

SECRET_WORDS = ("password", "secret", "token", "bindkey")
MOST_SHOWN = 40  # characters of a wrong value; a whole file pasted into a key is of no use in a log


@dataclass(frozen=True, slots=True)
class Parked:
    """A part of the configuration that is left out, and why; `line` is 0 where no file is concerned."""

    what: str  # "serial usb0", "mqtt.tcp.port"
    code: str
    text: str
    hint: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.code} {self.text} -> {self.hint}"


@dataclass(frozen=True, slots=True)
class Complaint:
    """A fault before it is known where it stands: code, what was found, what was expected."""

    code: str
    found: str
    expected: str
    hint: str = ""


def dotted(loc: Iterable[str | int]) -> str:
    """Return a path as a reader writes it: `serial[0].baud`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def shown(value: object) -> str:
    """Return a value as TOML would write it, cut to a reasonable length."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:
        text = str(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def is_secret(name: object) -> bool:
    """Return whether a key of this name would hold a secret in clear."""
    text = str(name).lower()
    return any(word in text for word in SECRET_WORDS) and not text.endswith(("_file", "_files"))


def complaint(error: ErrorDetails, known: Iterable[str]) -> Complaint:
    """Turn one pydantic error into found and expected; `known` are the keys of the table it stands in."""
    kind, loc = error["type"], error["loc"]
    if kind == "extra_forbidden":
        return _unknown(str(loc[-1]), tuple(known))
    if kind == "missing":
        return Complaint("GW-1004", "nothing", "a value: this key has no default")
    if any(is_secret(part) for part in loc):
        return Complaint("GW-1008", "a value that is not shown", error["msg"])
    found = shown(error["input"])
    for test, code, expected in EXPECTED:
        if test(kind):
            return Complaint(code, found, expected(error))
    return Complaint("GW-1008", found, error["msg"])


def near_keys(name: str, known: Iterable[str]) -> list[str]:
    """Return the key that was probably meant, if any looks like it."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)


def _unknown(name: str, known: tuple[str, ...]) -> Complaint:
    if is_secret(name) and f"{name}_file" in known:
        return Complaint(
            "GW-1010",
            "a secret in clear",
            f"`{name}_file`, the name of a file that holds it",
            f"move the secret into a file of its own (chmod 600) and name it with `{name}_file`",
        )
    near = near_keys(name, known)
    if near:
        return Complaint(
            "GW-1003", f"the unknown key `{name}`", f"`{near[0]}`?", f"rename it to `{near[0]}`"
        )
    return Complaint(
        "GW-1003",
        f"the unknown key `{name}`",
        "one of " + ", ".join(sorted(known)) if known else "a key of that driver",
        "remove it; `gateway config reference` lists every key",
    )


def _choices(error: ErrorDetails) -> str:
    return "one of " + str(error.get("ctx", {}).get("expected", "")).replace("'", '"')


LIMIT_WORDS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
}


def _limit(error: ErrorDetails) -> str:
    context: Mapping[str, Any] = error.get("ctx", {})
    words = [f"{word} {context[name]}" for name, word in LIMIT_WORDS.items() if name in context]
    return "a number of " + " and ".join(words)


TYPE_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a text in quotes",
    "tuple": "a list in [ ]",
    "list": "a list in [ ]",
    "dict": "a table",
    "model": "a table",
}


def _type(error: ErrorDetails) -> str:
    return TYPE_WORDS.get(error["type"].split("_", 1)[0], error["msg"])


def _pattern(_: ErrorDetails) -> str:
    return "1 to 64 letters, digits, `-` or `_`"


def _filled(_: ErrorDetails) -> str:
    return "a text that is not empty"


EXPECTED: tuple[tuple[Callable[[str], bool], str, Callable[[ErrorDetails], str]], ...] = (
    (lambda kind: kind in ("literal_error", "enum"), "GW-1006", _choices),
    (lambda kind: kind.startswith(("greater_than", "less_than")), "GW-1007", _limit),
    (lambda kind: kind == "string_pattern_mismatch", "GW-1008", _pattern),
    (lambda kind: kind == "string_too_short", "GW-1008", _filled),
    (
        lambda kind: kind.endswith(("_type", "_parsing", "_from_float")),
        "GW-1005",
        _type,
    ),
)


def keys_of(model: type[BaseModel], loc: Loc) -> tuple[str, ...]:
    """Return the keys of the table in which the last part of `loc` stands."""
    table: Any = model
    for part in loc[:-1]:
        if not (isinstance(table, type) and issubclass(table, BaseModel)):
            return ()
        if isinstance(part, int):
            continue  # an item of the list that was entered by its name
        if part not in table.model_fields:
            return ()
        table = table.model_fields[part].annotation
        if get_origin(table) is tuple:
            table = get_args(table)[0]
    if isinstance(table, type) and issubclass(table, BaseModel):
        return tuple(table.model_fields)
    return ()
