"""Reading the configuration at start: the file, or its last good copy when a person has just broken it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.bridge.discovery import Drivers, discover
from gateway.config.last_good import LastGood
from gateway.config.load import Loaded, load, parse
from gateway.config.problems import Parked
from gateway.errors import ConfigError
from gateway.runtime.files import write_atomically

log = logging.getLogger(__name__)

COPIES = "config"


def load_configuration(path: Path | None, state_dir: Path) -> Loaded:
    """Return the configuration; a file that cannot be used at all is replaced by its last good copy, and named.

    Raises ConfigError where there is no copy either.
    """
    copies = LastGood(state_dir / COPIES, write_atomically)
    try:
        # Twice: which drivers may be loaded to judge their tables stands in the file itself.
        drivers = discover(load(path).settings.drivers.allow)
        return load(path, check=_checker(drivers))
    except ConfigError as error:
        for copy in copies.copies():
            return _from_copy(copy, error)
        raise


def keep_copy(loaded: Loaded, state_dir: Path) -> None:
    """Keep a configuration that the node runs with."""
    if loaded.path is None or loaded.parked:
        return
    try:
        LastGood(state_dir / COPIES, write_atomically).keep(loaded.text)
    except OSError as error:
        log.warning("no copy of the configuration kept", extra={"error": str(error)})


def _from_copy(copy: Path, error: ConfigError) -> Loaded:
    text = copy.read_text("utf-8")
    drivers = discover(parse(text, copy).settings.drivers.allow)
    loaded = parse(text, copy, check=_checker(drivers))
    row = Parked("configuration", error.code, f"{error.text}; running on {copy}", error.hint)
    return Loaded(
        loaded.settings,
        (row, *loaded.parked),
        loaded.path,
        loaded.text,
        loaded.driver_settings,
    )


def _checker(drivers: Drivers) -> Any:
    def check(name: str, table: Mapping[str, Any]) -> BaseModel:
        driver = drivers.get(name)
        return driver.settings.model_validate(dict(table))

    return check
