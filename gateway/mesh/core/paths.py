"""Dotted paths into JSON documents, as MongoDB reads them: `a.b.0.c`."""

from typing import Any

MISSING = object()
MOST_STEPS = 100  # MongoDB's own bound for documents; far from Python's recursion limit
MOST_PADDING = 1500  # MongoDB pads an array with at most this many nulls to reach an index


class BadUpdateError(ValueError):
    """An update that cannot be applied to this document; answered 422 with its text."""


def read(document: Any, path: str) -> Any:
    """Return the value at a path, or MISSING."""
    here = document
    for step in path.split("."):
        if isinstance(here, dict):
            here = here.get(step, MISSING)
        elif isinstance(here, list) and step.isdecimal() and int(step) < len(here):
            here = here[int(step)]
        else:
            return MISSING
    return here


def write(document: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path, making the objects on the way; raises BadUpdateError where none can be made."""
    here: Any = document
    steps = _steps(path)
    for step in steps[:-1]:
        here = _into(here, step, path)
    _put(here, steps[-1], value, path)


def remove(document: dict[str, Any], path: str) -> None:
    """Take the value at a path away; an array keeps its length and gets a null."""
    head, _, last = path.rpartition(".")
    holder = read(document, head) if head else document
    if isinstance(holder, dict):
        holder.pop(last, None)
    elif isinstance(holder, list) and last.isdecimal() and int(last) < len(holder):
        holder[int(last)] = None


def _steps(path: str) -> list[str]:
    steps = path.split(".")
    if "" in steps:
        raise BadUpdateError(f"The path '{path}' has an empty step.")
    if "$" in steps:
        raise BadUpdateError(f"The path '{path}' needs a query to find its position.")
    if len(steps) > MOST_STEPS:
        raise BadUpdateError(f"The path '{path[:40]}...' has more than {MOST_STEPS} steps.")
    return steps


def _into(here: Any, step: str, path: str) -> Any:
    if isinstance(here, dict):
        found = here.setdefault(step, {})
    elif isinstance(here, list) and step.isdecimal():
        _pad(here, int(step), path)
        if int(step) == len(here):
            here.append({})
        found = here[int(step)]
    else:
        found = None
    if not isinstance(found, dict | list):
        raise BadUpdateError(f"Cannot create a field on the way of '{path}' at '{step}'.")
    return found


def _put(here: Any, step: str, value: Any, path: str) -> None:
    if isinstance(here, dict):
        here[step] = value
    elif isinstance(here, list) and step.isdecimal():
        index = int(step)
        _pad(here, index, path)
        here[index : index + 1] = [value]
    else:
        raise BadUpdateError(f"Cannot create the field '{step}' of '{path}' in an array.")


def _pad(here: list[Any], length: int, path: str) -> None:
    if length - len(here) > MOST_PADDING:
        raise BadUpdateError(f"The index in '{path}' is too far beyond the end of its array.")
    here.extend([None] * (length - len(here)))
