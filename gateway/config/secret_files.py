"""Secrets stand in files of their own: `bindkey_files` in a driver's table becomes its `bindkeys`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.problems import is_secret
from gateway.errors import ConfigError

MOST_SECRET_BYTES = 4096


def secret_of(path: Path, key: str) -> str:
    """Read one secret, without the newline at its end; raises ConfigError GW-1009 that names key and file."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_SECRET_BYTES + 1)
        text = raw.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise _unusable(path, key, reason or str(error)) from error
    if not text or len(raw) > MOST_SECRET_BYTES:
        raise _unusable(path, key, "it is empty" if not text else "it is too long for a secret")
    return text


def _unusable(path: Path, key: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{key}: the secret file {path} cannot be used: {reason}",
        code="GW-1009",
        hint=f"write the secret into {path} and let only the gateway's user read it (chmod 600)",
    )


def with_secrets(table: Mapping[str, Any], base: Path, where: str) -> dict[str, Any]:
    """Return a driver's table with each `x_file` read into `x`, each table `x_files` into the table `xs`.

    Relative names count from `base`, the folder of gateway.toml.
    """
    filled: dict[str, Any] = {}
    for name, value in table.items():
        if name.endswith("_file") and isinstance(value, str):
            filled[name.removesuffix("_file")] = secret_of(base / value, f"{where}.{name}")
        elif name.endswith("_files") and isinstance(value, Mapping):
            filled[name.removesuffix("_files") + "s"] = {
                item: secret_of(base / str(file), f"{where}.{name}.{item}")
                for item, file in value.items()
            }
        elif is_secret(name):
            raise ConfigError(
                f"{where}.{name} holds a secret in clear",
                code="GW-1010",
                hint=f"write it into a file of its own (chmod 600) and name that in {_file_key(name)}",
            )
        else:
            filled[name] = value
    return filled


def _file_key(name: str) -> str:
    return f"`{name.removesuffix('s')}_files`" if name.endswith("s") else f"`{name}_file`"
