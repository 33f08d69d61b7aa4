"""Which parent this node has: `parent.json`, and its token in `secrets/` (mode 0600)."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import ConfigError
from gateway.runtime.files import write_atomically
from gateway.uplink.invitation import is_loopback


@dataclass(frozen=True, slots=True)
class ParentAddress:
    """Where the parent is, how it is known, and the token it gave."""

    host: str
    port: int
    fingerprint: str | None
    mesh_id: str
    parent: str  # the parent node's uuid
    token: str = field(repr=False)

    @property
    def text(self) -> str:
        """Return "host:port"."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def save_parent(state_dir: Path, parent: ParentAddress) -> None:
    """Keep the parent; the token first, so that no half of it is ever seen."""
    token, document = _files(state_dir)
    token.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(token, parent.token.encode() + b"\n")
    fields = {
        "host": parent.host,
        "port": parent.port,
        "fingerprint": parent.fingerprint,
        "mesh_id": parent.mesh_id,
        "parent": parent.parent,
    }
    write_atomically(document, json.dumps(fields, indent=2).encode() + b"\n", mode=0o644)


def load_parent(state_dir: Path) -> ParentAddress | None:
    """Return the parent, or None for a node that has none; raises ConfigError (GW-1610)."""
    token, document = _files(state_dir)
    if not document.exists():
        return None
    try:
        fields = json.loads(document.read_text("utf-8"))
        pin = fields["fingerprint"]
        parent = ParentAddress(
            str(fields["host"]),
            int(fields["port"]),
            None if pin is None else str(pin),
            str(fields["mesh_id"]),
            str(fields["parent"]),
            token.read_text("ascii").strip(),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(document, f"{type(error).__name__}: {error}") from error
    if not parent.token or (parent.fingerprint is None and not is_loopback(parent.host)):
        raise _unreadable(document, "no token, or no certificate for another machine")
    return parent


def leave(state_dir: Path) -> bool:
    """Forget the parent; returns whether there was one. What waits in the log stays."""
    token, document = _files(state_dir)
    existed = document.exists()
    document.unlink(missing_ok=True)
    token.unlink(missing_ok=True)
    return existed


def _files(state_dir: Path) -> tuple[Path, Path]:
    return state_dir / "secrets" / "parent-token", state_dir / "parent.json"


def _unreadable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be used: {why}",
        code="GW-1610",
        hint="restore it and secrets/parent-token from a backup, or run `gateway join` again",
    )
