"""Local users that commands keep in state.db, beside those of gateway.toml, which win over them."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

from gateway.app.logins import User, parsed_hash
from gateway.config.roles import RESERVED, SHIPPED, grants_of
from gateway.config.schema import MqttSettings
from gateway.errors import ConfigError
from gateway.model import is_uuid
from gateway.store.users import SqliteUsers, UserRow

log = logging.getLogger(__name__)

MOST_NAME = 64  # characters, as for users of gateway.toml
MOST_USERS = 1000  # all are held in memory; more people than this need a directory, not a gateway

Changed = Callable[[str, User | None], object]
"""Told of each user that came or changed (the user), or went (None), once that is on disk."""


class Accounts:
    """Users of state.db: what `gateway broker user` does, with a running node or without."""

    def __init__(
        self,
        store: SqliteUsers,
        settings: MqttSettings,
        fixed: Mapping[str, Sequence[str]],
        *,
        now_ms: Callable[[], int],
        changed: Changed,
    ) -> None:
        """Prepare; `fixed` are the users that win over those of the store, with their roles."""
        self._store = store
        self._settings = settings
        self._fixed = fixed
        self._now_ms = now_ms
        self._changed = changed
        self.operations: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "broker-users": self._list,
            "broker-user-add": self._add,
            "broker-user-roles": self._set_roles,
            "broker-user-password": self._set_password,
            "broker-user-remove": self._remove,
        }

    async def load(self) -> None:
        """Tell of every user that is kept."""
        for row in await self._store.all():
            strange = [role for role in row.roles if role not in self._roles()]
            if strange:
                log.warning(
                    "a user has a role that does not exist",
                    extra={"user": row.name, "roles": ",".join(strange), "code": "GW-1135"},
                )
            self._tell(row.name, row)

    async def _list(self, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        kept = [
            {
                "name": row.name,
                "roles": list(row.roles),
                "created_ms": row.created_ms,
                "from": "gateway broker user",
                "hidden": row.name in self._fixed,
            }
            for row in await self._store.all()
        ]
        fixed = [
            {
                "name": n,
                "roles": list(r),
                "created_ms": None,
                "from": "gateway.toml",
                "hidden": False,
            }
            for n, r in self._fixed.items()
        ]
        return sorted(kept + fixed, key=lambda user: (user["name"], user["hidden"]))

    async def _add(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, roles, secret = self._name(asked), self._asked_roles(asked), _hash(asked)
        if len(await self._store.all()) >= MOST_USERS:
            raise ConfigError(
                f"there are {MOST_USERS} users already, which is the most",
                code="GW-1133",
                hint="remove users that are not needed: gateway broker user remove NAME",
            )
        row = UserRow(name, *secret, roles, self._now_ms())
        if not await self._store.add(row):
            raise ConfigError(
                f"there is a user {name!r} already",
                code="GW-1133",
                hint=f"change it: gateway broker user password {name}, or role {name} --set ROLES",
            )
        return self._done(name, row)

    async def _set_roles(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, roles = str(asked.get("name", "")), self._asked_roles(asked)
        row = await self._store.set_roles(name, roles)
        return self._done(name, row or self._missing(name))

    async def _set_password(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name, secret = str(asked.get("name", "")), _hash(asked)
        row = await self._store.set_secret(name, *secret)
        return self._done(name, row or self._missing(name))

    async def _remove(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name = str(asked.get("name", ""))
        if not await self._store.remove(name):
            self._missing(name)
        return self._done(name, None)

    # ---- small joints ----

    def _done(self, name: str, row: UserRow | None) -> dict[str, Any]:
        """Let a change have its effect; the answer says when gateway.toml stands before it."""
        ended = self._tell(name, row)
        log.info("user changed" if row else "user removed", extra={"user": name})
        answer: dict[str, Any] = {"name": name, "ended_sessions": ended, "note": None}
        if row is not None:
            answer["roles"] = list(row.roles)
        if name in self._fixed:
            answer["note"] = f"gateway.toml has a user {name!r} too, and that one holds"
        return answer

    def _tell(self, name: str, row: UserRow | None) -> int:
        if name in self._fixed:
            return 0
        user = None
        if row is not None:
            grants = grants_of(row.roles, self._settings.roles)
            user = User(name, row.salt, row.hash, grants, frozenset(row.roles))
        ended = self._changed(name, user)
        return ended if isinstance(ended, int) else 0

    def _roles(self) -> list[str]:
        return sorted({*SHIPPED, *(role.name for role in self._settings.roles)})

    def _asked_roles(self, asked: Mapping[str, Any]) -> tuple[str, ...]:
        roles = asked.get("roles", [])
        known = self._roles()
        strange = [role for role in roles if role not in known]
        if strange:
            raise ConfigError(
                f"unknown role{'s' if len(strange) > 1 else ''} {', '.join(map(repr, strange))}",
                code="GW-1130",
                hint=f"roles here: {', '.join(known)}; [[mqtt.roles]] of gateway.toml makes others",
            )
        return tuple(dict.fromkeys(roles))

    def _name(self, asked: Mapping[str, Any]) -> str:
        name = str(asked.get("name", ""))
        if is_uuid(name):
            raise ConfigError(
                f"{name} is shaped like a uuid, and uuids are the names of devices",
                code="GW-1131",
                hint="give the user another name; devices log in with uuid and token, without any user",
            )
        if name.startswith(RESERVED):
            raise ConfigError(
                f"{name!r} cannot be a user's name: {name.partition(':')[0]}: begins names of the gateway's own",
                code="GW-1131",
                hint="give the user a name without it",
            )
        if not 0 < len(name) <= MOST_NAME or not name.isprintable() or name != name.strip():
            raise ConfigError(
                f"{name!r} cannot be a user's name",
                code="GW-1131",
                hint=f"a name has 1 to {MOST_NAME} printable characters, no space at either end",
            )
        return name

    def _missing(self, name: str) -> NoReturn:
        """Say why a user cannot be changed."""
        if name in self._fixed:
            raise ConfigError(
                f"the user {name!r} stands in gateway.toml",
                code="GW-1132",
                hint="change it there ([[mqtt.users]]) and restart the gateway",
            )
        raise ConfigError(
            f"there is no user {name!r}",
            code="GW-1132",
            hint="gateway broker user list names them",
        )


def _hash(asked: Mapping[str, Any]) -> tuple[bytes, bytes]:
    try:
        return parsed_hash(str(asked.get("hash", "")))
    except ValueError:
        raise ConfigError(
            "the request does not fit: it brings no hash of a password",
            code="GW-1811",
            hint="this is what the `gateway` command sends; is it of the same version as the node?",
        ) from None
