"""Drivers by entry point: which there are, which may run, and why one does not."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.driver.contract import CONTRACT, Driver
from gateway.errors import ConfigError

log = logging.getLogger(__name__)

GROUP = "gateway.drivers"
OWN = "meshblu-gateway"  # the distribution whose drivers need no permission


@dataclass(frozen=True, slots=True)
class Found:
    """One entry point: a driver, or the reason (with its code) why it is none."""

    name: str
    source: str  # distribution and version it came with
    driver: Driver | None = None
    code: str = ""
    reason: str = ""
    hint: str = ""


class Drivers:
    """The driver table of this process."""

    def __init__(self, found: Iterable[Found]) -> None:
        self._found: dict[str, Found] = {}
        for each in found:
            self._found.setdefault(each.name, each)

    def all(self) -> list[Found]:
        """Return every entry point, by name."""
        return sorted(self._found.values(), key=lambda found: found.name)

    def get(self, name: str) -> Driver:
        """Return a driver; raises ConfigError (GW-1702 unknown, GW-1703 broken, GW-1704 contract, GW-1706 not allowed)."""
        found = self._found.get(name)
        if found is None:
            raise ConfigError(
                f"there is no driver {name!r}",
                code="GW-1702",
                hint=f"`gateway drivers` lists them: {', '.join(sorted(self._found)) or 'none'}",
            )
        if found.driver is None:
            raise ConfigError(f"driver {name!r}: {found.reason}", code=found.code, hint=found.hint)
        return found.driver


def discover(allowed: Collection[str] = (), entries: Iterable[EntryPoint] | None = None) -> Drivers:
    """Load our drivers, and those of other packages that the configuration allows by name; never raises.

    Ours come first: another package cannot take the name of a shipped driver.
    """
    listed = entry_points(group=GROUP) if entries is None else entries
    return Drivers(
        _found(entry, allowed) for entry in sorted(listed, key=lambda e: (not _is_own(e), e.name))
    )


def settings_of(driver: Driver, keys: Mapping[str, Any]) -> BaseModel:
    """Return a driver's settings, checked; raises ConfigError (GW-1705) that names every wrong key, no value."""
    try:
        return driver.settings.model_validate(dict(keys))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        )
        known = ", ".join(driver.settings.model_fields) or "none"
        raise ConfigError(
            f"settings of driver {driver.name!r} do not fit: {wrong}",
            code="GW-1705",
            hint=f"the keys of this driver are: {known}",
        ) from None  # the original names values, and some are keys of sensors


def _is_own(entry: EntryPoint) -> bool:
    return entry.dist is not None and entry.dist.name == OWN


def _found(entry: EntryPoint, allowed: Collection[str]) -> Found:
    source = "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    if not _is_own(entry) and entry.name not in allowed:
        return Found(
            entry.name,
            source,
            code="GW-1706",
            reason=f"it comes from {source} and is not allowed yet",
            hint=f'add "{entry.name}" to `allow` in [drivers] of gateway.toml',
        )
    try:
        driver = entry.load()
    except Exception as error:  # noqa: BLE001 - plugin loading: any fault is the plugin's, and is shown
        log.warning("driver failed to load", extra={"driver": entry.name, "source": source})
        return Found(
            entry.name,
            source,
            code="GW-1703",
            reason=f"it failed to load: {type(error).__name__}: {error}",
            hint=f"reinstall or remove {source}",
        )
    return _judged(entry.name, source, driver)


def _judged(name: str, source: str, driver: object) -> Found:
    if not isinstance(driver, Driver):
        return Found(
            name,
            source,
            code="GW-1703",
            reason=f"its entry point is a {type(driver).__name__}, no Driver",
            hint=f"reinstall or remove {source}",
        )
    if driver.contract != CONTRACT:
        return Found(
            name,
            source,
            code="GW-1704",
            reason=f"it speaks contract {driver.contract}, this gateway {CONTRACT}",
            hint=f"install a version of {source.split(maxsplit=1)[0]} made for this gateway",
        )
    return Found(name, source, driver)
