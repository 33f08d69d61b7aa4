"""The written forms of the models: the reference table for people, and gateway.toml with every default."""

import json
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.config.fields import unit_of
from gateway.config.positions import BARE_KEY
from gateway.config.schema import Settings

TYPE_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def markdown() -> str:
    """Return the reference: one table of keys for each table of the file."""
    parts = []
    for name, model, is_list in tables(Settings):
        title = f"[[{name}]]" if is_list else f"[{name}]"
        lines = [f"#### `{title}`", "", (model.__doc__ or "").strip(), ""]
        lines += ["| key | type | default | unit | meaning |", "|---|---|---|---|---|"]
        lines += [_row(key, field) for key, field in _own_keys(model)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def defaults_toml() -> str:
    """Return the text of gateway.toml: every key with its meaning, unit and default."""
    parts = ["# Every key of the gateway with its default. Without this file these values hold."]
    for name, model, is_list in tables(Settings):
        # A repeated table has no default item, so it is shown as a comment.
        mark = "# " if is_list else ""
        title = f"[[{name}]]" if is_list else f"[{name}]"
        lines = [f"\n# {(model.__doc__ or '').strip()}", f"{mark}{title}"]
        for key, field in _own_keys(model):
            lines += [f"{mark}{line}" if is_list else line for line in _toml_key(key, field)]
        parts.append("\n".join(lines))
    return "\n".join(parts) + "\n"


def tables(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel], bool]]:
    """Yield (dotted name, model, is repeated) of every table below `model`, in the file's order."""
    for key, field in model.model_fields.items():
        table, is_list = _table_of(field)
        if table is not None:
            name = f"{prefix}{key}"
            yield name, table, is_list
            yield from tables(table, f"{name}.")


def _table_of(field: FieldInfo) -> tuple[type[BaseModel] | None, bool]:
    kind: Any = field.annotation
    is_list = get_origin(kind) is tuple
    if is_list:
        kind = get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind, is_list
    return None, False


def _own_keys(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return [
        (key, field) for key, field in model.model_fields.items() if _table_of(field)[0] is None
    ]


def _row(key: str, field: FieldInfo) -> str:
    default = _default(field)
    shown = "(needed)" if default is PydanticUndefined else "unset" if default is None else ""
    shown = shown or f"`{toml_value(default)}`"
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{key}` | {_type_text(field.annotation)} | {shown} | {unit_of(field)} | {meaning} |"


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=False)


def _toml_key(key: str, field: FieldInfo) -> list[str]:
    unit = f" ({unit_of(field)})" if unit_of(field) else ""
    default = _default(field)
    lines = [f"# {field.description}{unit}"]
    if default is PydanticUndefined:
        lines.append(f'{key} = "..."')
    elif default is None:
        lines.append(f"# {key} = ...")
    else:
        lines.append(f"{key} = {toml_value(default)}")
    return lines


def toml_value(value: Any) -> str:
    """Return a plain value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{toml_key(name)} = {toml_value(item)}" for name, item in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    return _quoted(value) if isinstance(value, str) else str(value)


def toml_key(name: str) -> str:
    """Return a key as TOML writes it: bare where that is allowed."""
    return name if BARE_KEY.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped, and surrogate pairs, which it refuses.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _type_text(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Annotated:
        return _type_text(get_args(kind)[0])
    if origin is Literal:
        return ", ".join(f"`{toml_value(choice)}`" for choice in get_args(kind))
    if origin in (Union, types.UnionType):
        return " or ".join(_type_text(part) for part in get_args(kind) if part is not type(None))
    if origin is tuple:
        item = get_args(kind)[0]
        return f"list of {_type_text(item)}" + ("" if get_origin(item) is Literal else "s")
    if origin is dict:
        return "table"
    return TYPE_NAMES.get(kind, "value")
