"""Who this node is: its uuid and its pepper, made once, kept in the state directory."""

import json
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ConfigError
from gateway.model import DeviceUuid, is_uuid, normalised
from gateway.runtime.files import write_atomically

PEPPER_BYTES = 32


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """The node's own device uuid, and the secret that its token hashes are made with."""

    uuid: DeviceUuid
    pepper: bytes
    is_new: bool

    def __repr__(self) -> str:
        return f"NodeIdentity(uuid={self.uuid!r})"


def load(state_dir: Path) -> NodeIdentity:
    """Read the identity, or make it where the state directory has none at all.

    A missing pepper beside an existing node is never made anew: every token hash would stop matching.
    Raises ConfigError (GW-1804 unreadable identity, GW-1805 pepper missing or damaged, GW-1807 not writable).
    """
    name, pepper = state_dir / "node.json", state_dir / "secrets" / "pepper"
    if not name.exists():
        if (state_dir / "state.db").exists():
            raise ConfigError(
                f"{name} is missing, but {state_dir / 'state.db'} is there",
                code="GW-1804",
                hint="restore node.json and secrets/ from the backup that state.db came from",
            )
        identity = NodeIdentity(
            normalised(str(uuid.uuid4())), secrets.token_bytes(PEPPER_BYTES), is_new=True
        )
        try:
            _keep(identity, name, pepper)
        except OSError as error:
            raise ConfigError(
                f"the state directory {state_dir} cannot be used: {error}",
                code="GW-1807",
                hint="make it, and what lies in it, writable for this user, and free some space",
            ) from error
        return identity
    return NodeIdentity(_uuid(name), _pepper(pepper), is_new=False)


def _keep(identity: NodeIdentity, name: Path, pepper: Path) -> None:
    pepper.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(pepper, identity.pepper.hex().encode() + b"\n")
    write_atomically(name, json.dumps({"uuid": identity.uuid}).encode() + b"\n", mode=0o644)


def _uuid(path: Path) -> DeviceUuid:
    try:
        text = json.loads(path.read_text("utf-8"))["uuid"]
    except (OSError, ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str) or not is_uuid(text):
        raise ConfigError(
            f"{path} does not hold this node's uuid",
            code="GW-1804",
            hint='restore it from a backup; it looks like {"uuid": "6f1c…"}',
        )
    return normalised(text)


def _pepper(path: Path) -> bytes:
    try:
        pepper = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        pepper = b""
    if len(pepper) != PEPPER_BYTES:
        raise ConfigError(
            f"{path} is missing or damaged: no device token of this node can be checked",
            code="GW-1805",
            hint="restore it from a backup of the state directory; it is never made anew by itself",
        )
    return pepper
