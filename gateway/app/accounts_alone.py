"""The users of a node that does not run: its state database, opened under its lock for one operation."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.app import identity
from gateway.app.accounts import Accounts
from gateway.app.lock import StateLock
from gateway.config.schema import MqttSettings
from gateway.errors import ConfigError
from gateway.store.committer import Committer
from gateway.store.users import SqliteUsers


async def perform_alone(
    state_dir: Path, settings: MqttSettings, operation: str, arguments: Mapping[str, Any]
) -> Any:
    """Carry out one operation of `Accounts`; raises what a running node would, and StoreBusyError when one starts."""
    _refuse_foreign(state_dir)
    if operation != "broker-user-add" and not (state_dir / "state.db").exists():
        raise ConfigError(
            f"no node was ever in {state_dir}, so there are no users",
            code="GW-1132",
            hint="name the state directory with --state; `gateway broker user add` makes a first user",
        )
    lock = StateLock(state_dir)
    try:
        identity.load(
            state_dir
        )  # before the first start of a node: as that would, or it refused the database
        committer = Committer(state_dir / "state.db", "state")
        try:
            await committer.open()
            accounts = Accounts(
                SqliteUsers(committer),
                settings,
                {user.name: user.roles for user in settings.users},
                now_ms=lambda: time.time_ns() // 1_000_000,
                changed=lambda _name, _user: 0,
            )
            return await accounts.operations[operation](arguments)
        finally:
            await committer.close()
    finally:
        lock.release()


def _refuse_foreign(state_dir: Path) -> None:
    """Refuse to leave files in a node's directory that the node itself could not open (root is no exception)."""
    try:
        owner = state_dir.stat().st_uid
    except OSError:
        return  # StateLock makes it, or says why not
    if owner != os.geteuid():
        raise ConfigError(
            f"the state directory {state_dir} belongs to another user (uid {owner})",
            code="GW-1136",
            hint=f"run it as that user: sudo -u '#{owner}' gateway broker user ...",
        )
