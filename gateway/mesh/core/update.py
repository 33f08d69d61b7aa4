"""Updating a document: which operators an update may hold (specification 13.1) and what each does."""

import base64
import copy
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.mesh.core import paths
from gateway.mesh.core.paths import MISSING, BadUpdateError
from gateway.model.device import DeviceUuid, Document
from gateway.model.ports import UpdateProgram
from gateway.model.wire import iso

PROTECTED = ("token", "uuid")
MOST_INTEGER = 1 << 63  # what every store and every other client can hold


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """What an effective update notes in `meshblu`."""

    actor: DeviceUuid
    wall_ms: int


def invalid(update: object) -> str | None:
    """Return why an update is refused, in the words of the original, or None when it may be tried."""
    if not isinstance(update, Mapping) or not update:
        return "Update query must contain at least one key."
    for key, value in update.items():
        if value is None and not key.startswith("$"):
            return "Update query may contain null value for a key that starts with '$'."
    for name in PROTECTED:
        if any(isinstance(value, Mapping) and name in value for value in update.values()):
            return f"Update query may not modify the {name} key."
    if not set(update) <= set(OPERATORS):
        return "Update query may only contain authorized keys."
    return None


def program(update: Mapping[str, Any], by: Bookkeeping) -> UpdateProgram:
    """Return the pure program of a valid update; it raises BadUpdateError where it cannot be applied."""

    def run(document: Document) -> Document | None:
        before = copy.deepcopy(document)
        for operator, fields in update.items():
            if not isinstance(fields, Mapping) or not fields:
                raise BadUpdateError(f"'{operator}' is empty. You must specify a field.")
            for path, argument in fields.items():
                if path.split(".", 1)[0] in PROTECTED:
                    raise BadUpdateError(f"'{path}' may not be modified.")
                OPERATORS[operator](document, path, copy.deepcopy(argument), by)
        return None if _is_same(document, before) else noted(document, by)

    return run


def _is_same(one: Document, other: Document) -> bool:
    # `True == 1` for Python, not for JSON: equal values are compared again as text.
    return one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def noted(document: Document, by: Bookkeeping) -> Document:
    """Return the document with the change noted in `meshblu`: when, by whom, and a new hash."""
    moment = iso(by.wall_ms)
    meshblu = document.setdefault("meshblu", {})
    if not isinstance(meshblu, dict):
        raise BadUpdateError("Cannot create a field in 'meshblu': it holds no object.")
    meshblu.update(updatedAt=moment, updatedBy=by.actor, hash=change_mark(document, moment))
    return document


def change_mark(document: Document, moment: str) -> str:
    """Return an opaque mark that differs after each change (`meshblu.hash`)."""
    content = json.dumps(document, sort_keys=True, default=str) + moment
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


Operator = Callable[[Document, str, Any, Bookkeeping], None]


def _set(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    paths.write(document, path, argument)


def _unset(document: Document, path: str, _argument: Any, _: Bookkeeping) -> None:
    paths.remove(document, path)


def _number(value: Any, path: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadUpdateError(f"'{path}' needs a number.")
    return value


def _bounded(value: float, path: str) -> int | float:
    # A float outside `abs(x) < bound` includes NaN: comparisons with it are false.
    if not abs(value) < (MOST_INTEGER if isinstance(value, int) else math.inf):
        raise BadUpdateError(f"'{path}' would leave the range of numbers.")
    return value


def _increment(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    old = paths.read(document, path)
    by = _number(argument, path)
    paths.write(document, path, _bounded(by if old is MISSING else _number(old, path) + by, path))


def _multiply(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    old = paths.read(document, path)
    by = _number(argument, path)
    paths.write(document, path, _bounded(0 if old is MISSING else _number(old, path) * by, path))


def _extreme(keep_old: Callable[[Any, Any], bool]) -> Operator:
    def run(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
        old = paths.read(document, path)
        if old is not MISSING:
            try:
                if keep_old(old, argument):
                    return
            except TypeError as error:
                raise BadUpdateError(
                    f"'{path}' cannot be compared with the given value."
                ) from error
        paths.write(document, path, argument)

    return run


def _current_date(document: Document, path: str, _argument: Any, by: Bookkeeping) -> None:
    paths.write(document, path, iso(by.wall_ms))


def _array(document: Document, path: str, *, make: bool) -> list[Any]:
    found = paths.read(document, path)
    if found is MISSING:
        found = []
        if make:
            paths.write(document, path, found)
    if not isinstance(found, list):
        raise BadUpdateError(f"'{path}' must hold an array.")
    return found


def _each(argument: Any, path: str, allowed: frozenset[str]) -> tuple[list[Any], Mapping[str, Any]]:
    if not isinstance(argument, Mapping) or "$each" not in argument:
        return [argument], {}
    if not isinstance(argument["$each"], list) or not set(argument) <= allowed:
        raise BadUpdateError(f"'$each' of '{path}' must be an array, beside known modifiers.")
    return argument["$each"], argument


def _index(modifiers: Mapping[str, Any], name: str, path: str) -> int:
    value = modifiers[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadUpdateError(f"'{name}' of '{path}' must be a whole number.")
    return value


def _push(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    values, modifiers = _each(argument, path, frozenset({"$each", "$slice", "$position"}))
    array = _array(document, path, make=True)
    at = _index(modifiers, "$position", path) if "$position" in modifiers else len(array)
    array[at:at] = values
    if "$slice" in modifiers:
        keep = _index(modifiers, "$slice", path)
        array[:] = array[:keep] if keep >= 0 else array[keep:]


def _push_all(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    if not isinstance(argument, list):
        raise BadUpdateError(f"'$pushAll' of '{path}' needs an array.")
    _array(document, path, make=True).extend(argument)


def _add_to_set(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    values, _modifiers = _each(argument, path, frozenset({"$each"}))
    array = _array(document, path, make=True)
    array.extend(value for index, value in enumerate(values) if value not in array + values[:index])


def _pop(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    array = _array(document, path, make=False)
    if argument not in (1, -1):
        raise BadUpdateError(f"'$pop' of '{path}' takes 1 or -1.")
    if array:
        array.pop(-1 if argument == 1 else 0)


def _pull(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    def goes(item: Any) -> bool:
        if isinstance(argument, Mapping) and isinstance(item, Mapping):
            return all(item.get(key, MISSING) == value for key, value in argument.items())
        if isinstance(argument, Mapping) and isinstance(argument.get("$in"), list):
            return item in argument["$in"]
        return bool(item == argument)

    array = _array(document, path, make=False)
    array[:] = [item for item in array if not goes(item)]


def _pull_all(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    if not isinstance(argument, list):
        raise BadUpdateError(f"'$pullAll' of '{path}' needs an array.")
    array = _array(document, path, make=False)
    array[:] = [item for item in array if item not in argument]


def _bit(document: Document, path: str, argument: Any, _: Bookkeeping) -> None:
    bits: Mapping[str, Callable[[int, int], int]] = {
        "and": int.__and__,
        "or": int.__or__,
        "xor": int.__xor__,
    }
    old = paths.read(document, path)
    value = 0 if old is MISSING else old
    if not isinstance(argument, Mapping) or not argument or not set(argument) <= set(bits):
        raise BadUpdateError(f"'$bit' of '{path}' takes and, or, xor.")
    for name, operand in argument.items():
        if not all(type(number) is int for number in (value, operand)):
            raise BadUpdateError(f"'$bit' of '{path}' needs whole numbers.")
        value = bits[name](value, operand)
    paths.write(document, path, value)


OPERATORS: Mapping[str, Operator] = {
    "$inc": _increment,
    "$mult": _multiply,
    "$set": _set,
    "$unset": _unset,
    "$min": _extreme(lambda old, new: bool(old <= new)),
    "$max": _extreme(lambda old, new: bool(old >= new)),
    "$currentDate": _current_date,
    "$addToSet": _add_to_set,
    "$pop": _pop,
    "$pullAll": _pull_all,
    "$pull": _pull,
    "$pushAll": _push_all,
    "$push": _push,
    "$bit": _bit,
}
"""The operators that an update may hold (specification 13.1); `$mult` is the original's spelling."""
