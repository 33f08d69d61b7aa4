"""How a key of gateway.toml is declared: meaning, unit and limits stand beside its default, for the reference."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


class Table(BaseModel):
    """Base of every table: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def key(
    default: Any,
    text: str,
    *,
    unit: str = "",
    is_vital: bool = False,
    is_guard: bool = False,
    **limits: Any,
) -> Any:
    """Declare a key with its default.

    A wrong value of a vital key stops the start instead of being parked.  A guard keeps somebody out: where its value
    is wrong, its default could let them in, so the table is switched off (`enabled = false`).
    """
    extra: dict[str, Any] = {"unit": unit, "is_vital": is_vital, "is_guard": is_guard}
    return Field(default, description=text, json_schema_extra=extra, **limits)


def needed(text: str, *, unit: str = "", **limits: Any) -> Any:
    """Declare a key without a default (only inside repeated tables)."""
    return Field(description=text, json_schema_extra={"unit": unit}, **limits)


def listed(default: tuple[Any, ...], text: str) -> Any:
    """Declare a key whose TOML array becomes a tuple."""
    return key(default, text, strict=False)


def unit_of(field: FieldInfo) -> str:
    """Return the unit of a key, or the empty text."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def is_guard(field: FieldInfo) -> bool:
    """Return whether a wrong value of this key switches its table off."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("is_guard"))


def is_vital(field: FieldInfo) -> bool:
    """Return whether a wrong value of this key must stop the start."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("is_vital"))
