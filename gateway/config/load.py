"""gateway.toml becomes Settings: a wrong part is parked with its line and reason, the rest is used.

Only a file that cannot be read at all, or a wrong value of a vital key, is an error; whoever starts a node
then tries the last good copies.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gateway.config.fields import is_guard, is_vital
from gateway.config.listener_rules import without_faulty_listeners
from gateway.config.listener_tables import ListenerSettings
from gateway.config.positions import Positions
from gateway.config.problems import (
    Complaint,
    Loc,
    Parked,
    complaint,
    dotted,
    keys_of,
    near_keys,
    shown,
)
from gateway.config.references import unmet
from gateway.config.schema import (
    BridgeSettings,
    RoleSettings,
    SerialSettings,
    Settings,
    UserSettings,
)
from gateway.config.secret_files import with_secrets
from gateway.errors import ConfigError, GatewayError

MOST_ROUNDS = 8  # taking out wrong keys may uncover others, at most one level of tables a round
MOST_FILE_BYTES = 1 << 20

LISTS: Mapping[Loc, type[BaseModel]] = {
    ("serial",): SerialSettings,
    ("mqtt", "users"): UserSettings,
    ("mqtt", "roles"): RoleSettings,
    ("mqtt", "bridges"): BridgeSettings,
    ("mqtt", "listeners"): ListenerSettings,
}
"""Repeated tables: a wrong one is parked alone, as a whole."""

SettingsCheck = Callable[[str, Mapping[str, Any]], BaseModel]
"""(driver, its table) -> the driver's own settings; raises ValidationError, or GatewayError (no such driver)."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file came to. `driver_settings` (with secrets) is keyed `serial.<name>` and `drivers.<name>`."""

    settings: Settings
    parked: tuple[Parked, ...] = ()
    path: Path | None = None
    text: str = ""
    driver_settings: Mapping[str, BaseModel] = field(default_factory=dict, repr=False)

    def resolve(self, name: str) -> Path:
        """Return a file named in the configuration; relative names count from the file's folder."""
        return (self.path.parent if self.path else Path.cwd()) / name


def load(path: Path | None, *, check: SettingsCheck | None = None) -> Loaded:
    """Read a file, or give the defaults for None; raises ConfigError GW-1001, GW-1002 or a vital key's."""
    if path is None:
        return Loaded(Settings())
    return parse(read(path), path, check=check)


def read(path: Path) -> str:
    """Return the file's text; raises ConfigError GW-1002."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_FILE_BYTES + 1)
        if len(raw) > MOST_FILE_BYTES:
            raise _unreadable(path, "it is larger than 1 MiB")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, f"line {line} is not UTF-8 text") from error


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"the configuration {path} cannot be read: {reason}",
        code="GW-1002",
        hint="name another file with --config, or make this one readable for the gateway's user",
    )


def parse(text: str, path: Path, *, check: SettingsCheck | None = None) -> Loaded:
    """Judge a text as if it stood in `path`; raises ConfigError GW-1001 or a vital key's."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _broken(path, str(error)) from error
    judge = _Judge(document, path, Positions(text))
    settings = judge.settings()
    checked = judge.check_drivers(settings, check) if check else {}
    settings = judge.without_parked(settings)
    return Loaded(settings, tuple(sorted(judge.parked, key=_by_line)), path, text, checked)


def _by_line(parked: Parked) -> int:
    return parked.line


def _broken(path: Path, message: str) -> ConfigError:
    found = re.search(r"line (\d+), column (\d+)", message)
    where = f"{path}:{found.group(1)}" if found else f"{path}, at its end"
    reason = re.sub(r" \(at .*\)$", "", message)
    return ConfigError(
        f"{where}: this is not TOML: {reason}",
        code="GW-1001",
        hint="mend that line; every value that is a text stands in quotes, one key a line",
    )


class _Judge:
    """Takes wrong parts out of one document until the rest is right, and notes each."""

    def __init__(self, document: dict[str, Any], path: Path, positions: Positions) -> None:
        self._document = document
        self._path = path
        self._positions = positions
        self._parked_links: set[str] = set()
        self._parked_bridges: set[str] = set()
        self._written_at: dict[Loc, list[int]] = {}  # right items -> their index in the file
        self._dropped: list[Loc] = []  # single keys
        self.parked: list[Parked] = []

    def settings(self) -> Settings:
        """Return what is right of the document; raises ConfigError for a vital key."""
        taken = {loc: self._items(loc, model) for loc, model in LISTS.items()}
        for _ in range(MOST_ROUNDS):
            try:
                found = Settings.model_validate(self._document)
                break
            except ValidationError as error:
                for fault in error.errors(include_url=False):
                    self._drop(fault["loc"], complaint(fault, keys_of(Settings, fault["loc"])))
        else:
            found = Settings()
        mqtt = found.mqtt.model_copy(
            update={str(loc[1]): items for loc, items in taken.items() if loc[0] == "mqtt"}
        )
        found = found.model_copy(update={"serial": taken["serial",], "mqtt": mqtt})
        faults = list(unmet(found))
        for loc, what, found_fault in faults:
            self._park(self._in_file(loc), what, found_fault)
            if loc[0] == "serial":
                self._parked_links.add(found.serial[int(loc[1])].name)
            if loc[:2] == ("mqtt", "bridges"):
                self._parked_bridges.add(found.mqtt.bridges[int(loc[2])].name)
        places = [loc for loc, _, _ in faults]
        return without_faulty_listeners(_without_nameless(found, places), places, self._dropped)

    def _in_file(self, loc: Loc) -> Loc:
        """Return a place among the right items as a place in the file, where wrong ones stand between."""
        for array, written in self._written_at.items():
            index = loc[len(array)] if len(loc) > len(array) else None
            if loc[: len(array)] == array and isinstance(index, int):
                return (*array, written[index], *loc[len(array) + 1 :])
        return loc

    def _items(self, loc: Loc, model: type[BaseModel]) -> tuple[BaseModel, ...]:
        """Take a repeated table out of the document; returns its right items."""
        table: Any = self._document
        for part in loc[:-1]:
            table = table.get(part) if isinstance(table, dict) else None
        if not isinstance(table, dict) or loc[-1] not in table:
            return ()
        value = table.pop(loc[-1])
        if not isinstance(value, list):
            self._park(loc, dotted(loc), Complaint("GW-1005", shown(value), f"[[{dotted(loc)}]]"))
            return ()
        good: list[BaseModel] = []
        names: set[str] = set()
        written = self._written_at.setdefault(loc, [])
        for index, item in enumerate(value):
            right = self._item((*loc, index), model, item)
            name = getattr(right, "name", None)
            if right is not None and name in names:
                fault = Complaint("GW-1011", f"the name {name!r} twice", "a name of its own")
                self._park((*loc, index, "name"), f"{loc[-1]} {name}", fault)
            elif right is not None:
                names.add(str(name))
                good.append(right)
                written.append(index)
        return tuple(good)

    def _item(self, loc: Loc, model: type[BaseModel], item: Any) -> BaseModel | None:
        try:
            return model.model_validate(item)
        except ValidationError as error:
            name = item.get("name", loc[-1]) if isinstance(item, dict) else loc[-1]
            for fault in error.errors(include_url=False):
                found = complaint(fault, keys_of(model, fault["loc"]))
                self._park((*loc, *fault["loc"]), f"{loc[-2]} {name}", found)
            return None

    def _drop(self, loc: Loc, fault: Complaint) -> None:
        """Take one wrong key out, so that its default is used."""
        self._park(loc, dotted(loc), fault)
        owner: Any = Settings
        table: Any = self._document
        info: FieldInfo | None = None
        for part in loc[:-1]:
            info = getattr(owner, "model_fields", {}).get(part)
            owner = info.annotation if info else None
            if not isinstance(table.get(part), dict):
                break  # a wrong item of a list: the whole list goes
            table = table[part]
        else:
            part = loc[-1]
            info = getattr(owner, "model_fields", {}).get(part)
        if info is not None and is_vital(info):
            last = self.parked[-1]
            raise ConfigError(last.text, code=last.code, hint=last.hint)
        self._dropped.append(loc)
        table.pop(part, None)
        if (info is not None and is_guard(info)) or (
            info is None and _is_meant_as_guard(owner, str(part))
        ):
            table["enabled"] = False

    def _park(self, loc: Loc, what: str, fault: Complaint) -> None:
        line = self._positions.line_of(loc)
        text = f"{self._path}:{line}: {dotted(loc)}: found {fault.found}, expected {fault.expected}"
        hint = fault.hint or "mend the key; until then it is left out (`gateway config check`)"
        self.parked.append(Parked(what, fault.code, text, hint, line))

    def check_drivers(self, settings: Settings, check: SettingsCheck) -> dict[str, BaseModel]:
        """Let drivers judge their own tables; returns what they made of them."""
        checked: dict[str, BaseModel] = {}
        for place, driver, table, what in _driver_tables(settings):
            loc = at = self._in_file(place)
            try:
                filled = with_secrets(table, self._path.parent, dotted(loc))
                at = (*loc[:-1], "driver") if loc[0] == "serial" else loc  # what else is wrong
                checked[what.replace(" ", ".", 1)] = check(driver, filled)
            except ValidationError as error:
                for fault in error.errors(include_url=False):
                    refused = replace(complaint(fault, ()), code="GW-1012")
                    self._park((*loc, *fault["loc"]), what, refused)
                self._parked_links.add(what.removeprefix("serial "))
            except GatewayError as error:
                line = self._positions.line_of(at)
                text = f"{self._path}:{line}: {error.text}"
                self.parked.append(Parked(what, error.code, text, error.hint, line))
                self._parked_links.add(what.removeprefix("serial "))
        return checked

    def without_parked(self, settings: Settings) -> Settings:
        """Return the settings without the serial links and bridges that were parked after they were read."""
        kept = tuple(item for item in settings.serial if item.name not in self._parked_links)
        bridges = tuple(b for b in settings.mqtt.bridges if b.name not in self._parked_bridges)
        mqtt = settings.mqtt.model_copy(update={"bridges": bridges})
        return settings.model_copy(update={"serial": kept, "mqtt": mqtt})


def _is_meant_as_guard(owner: Any, name: str) -> bool:
    """Return whether an unknown key looks like one that keeps somebody out: without it, more is open than was meant."""
    fields: Mapping[str, FieldInfo] = getattr(owner, "model_fields", {})
    return any(is_guard(fields[near]) for near in near_keys(name, fields))


def _without_nameless(settings: Settings, faults: Sequence[Loc]) -> Settings:
    """Return the settings without users whose names are wrong: they are the names of somebody else."""
    bad = {loc[2] for loc in faults if loc[:2] == ("mqtt", "users") and loc[3:] == ("name",)}
    users = tuple(user for index, user in enumerate(settings.mqtt.users) if index not in bad)
    mqtt = settings.mqtt.model_copy(update={"users": users})
    return settings.model_copy(update={"mqtt": mqtt})


def _driver_tables(settings: Settings) -> Iterator[tuple[Loc, str, Mapping[str, Any], str]]:
    for index, item in enumerate(settings.serial):
        yield ("serial", index, "settings"), item.driver, item.settings, f"serial {item.name}"
    for name, table in settings.drivers.settings.items():
        yield ("drivers", "settings", name), name, table, f"drivers {name}"
