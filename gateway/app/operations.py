"""What operators may ask of the node, each a short method under the name that the control socket uses."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from gateway.app.broker_operations import broker_operations, trace_of
from gateway.app.control import Arguments
from gateway.app.live import described, encoded
from gateway.app.log_lines import LogStream
from gateway.errors import ConfigError, GatewayError
from gateway.model import Command, DeviceUuid, is_uuid, normalised

if TYPE_CHECKING:
    from gateway.app.parts import Parts

COMMAND_MS = 30_000
MOST_PAIR_MINUTES = 60.0


class NodeOperations:
    """Matches `app.control.Operations`."""

    def __init__(self, parts: "Parts") -> None:
        self._parts = parts
        self._table: Mapping[str, Callable[[Arguments], Awaitable[object]]] = {
            "devices": self._devices,
            "rename": self._rename,
            "forget": self._forget,
            "command": self._command,
            "spool": self._spool,
            "dead-letters": self._dead_letters,
            "invite": self._invite,
            "pair": self._pair,
            "code": self._code,
            "children": self._children,
            "join": self._join,
            "leave": self._leave,
            "line": self._line,
            "log-level": self._log_level,
            **broker_operations(parts),
        }

    def status(self) -> dict[str, Any]:
        """Return the whole status."""
        return self._parts.status()

    def events(self) -> AsyncIterator[bytes]:
        """Stream live events."""
        return self._parts.events()

    def log_tail(self, count: int) -> list[str]:
        """Return the last log lines."""
        return self._parts.logs.tail(count)

    def log_stream(self) -> AsyncIterator[bytes]:
        """Stream log lines as events."""
        return LogStream(self._parts.logs, lambda line: encoded("line", line)).lines()

    def trace(self, arguments: Arguments) -> AsyncIterator[bytes]:
        """Stream packets of MQTT clients."""
        return trace_of(self._parts.mesh.broker, arguments)

    async def perform(self, operation: str, arguments: Arguments) -> object:
        """Carry out one operation."""
        return await self._table[operation](arguments)

    async def _devices(self, _: Arguments) -> object:
        return [described(seen) for seen in self._parts.live.devices.values()]

    async def _rename(self, arguments: Arguments) -> object:
        slug = str(arguments.get("slug", ""))
        identity = await self._parts.intake.rename(_uuid(arguments, "uuid"), slug)
        return {"uuid": identity.uuid, "slug": identity.slug}

    async def _forget(self, arguments: Arguments) -> object:
        identity = await self._parts.intake.forget(_uuid(arguments, "uuid"))
        return {"uuid": identity.uuid, "slug": identity.slug}

    async def _command(self, arguments: Arguments) -> object:
        """Send a command on behalf of the node itself: here, or to the device of a child."""
        parts, device = self._parts, _uuid(arguments, "uuid")
        params = arguments.get("payload")
        if not isinstance(params, dict):
            raise _wrong('"payload" is an object such as {"relay": true}')
        deadline = parts.clock.uptime_ms() + COMMAND_MS
        command = Command(str(uuid.uuid4()), device, parts.who.uuid, "set", params, deadline)
        child = parts.uplinking.server.child_of(device)
        if child is not None:
            parts.uplinking.server.send_down(child, command)
        else:
            parts.dispatcher.send(command)
        return {"id": command.id}

    async def _spool(self, _: Arguments) -> object:
        usage = self._parts.stores.spool.usage()
        return {
            **self._parts.uplink_state(),
            "written_bytes": usage.written_bytes,
            "dead_letters": usage.dead_letters,
            "most_bytes": self._parts.settings.spool.most_bytes,
            "profile": self._parts.settings.spool.profile,
        }

    async def _dead_letters(self, _: Arguments) -> object:
        letters = await self._parts.stores.spool.dead_letters()
        return [
            {
                "log": log,
                "number": number,
                "reason": reason.value,
                "sender": record.sender,
                "kind": record.kind.value,
                "body": record.body.decode("utf-8", "replace"),
            }
            for log, number, reason, record in letters
        ]

    async def _invite(self, arguments: Arguments) -> object:
        owner = None if arguments.get("owner") is None else _uuid(arguments, "owner")
        return await self._parts.uplinking.invite(owner)

    async def _pair(self, arguments: Arguments) -> object:
        minutes = arguments.get("minutes", 10)
        if not isinstance(minutes, (int, float)) or not 0 <= minutes <= MOST_PAIR_MINUTES:
            raise _wrong('"minutes" is a number from 0 to 60')
        registration = self._parts.mesh.mesh.registration
        registration.open_for(minutes * 60)
        return {"open_s": registration.open_s()}

    async def _code(self, _: Arguments) -> object:
        return {"code": self._parts.mesh.mesh.registration.new_code()}

    async def _children(self, _: Arguments) -> object:
        return self._parts.uplinking.server.children_state()

    async def _join(self, arguments: Arguments) -> object:
        return await self._parts.uplinking.join(str(arguments.get("line", "")))

    async def _leave(self, _: Arguments) -> object:
        return self._parts.uplinking.leave()

    async def _line(self, arguments: Arguments) -> object:
        if not isinstance(arguments.get("cut"), bool):
            raise _wrong('"cut" is true or false')
        self._parts.uplinking.uplink.cut(arguments["cut"])
        return self._parts.uplink_state()

    async def _log_level(self, arguments: Arguments) -> object:
        component, level = str(arguments.get("component", "")), str(arguments.get("level", ""))
        try:
            self._parts.logs.set_level(component, level)
        except (ValueError, GatewayError) as error:
            raise _wrong(f"{component}={level}: {error}") from error
        return self._parts.logs.levels()


def _uuid(arguments: Arguments, key: str) -> DeviceUuid:
    value = arguments.get(key)
    if not isinstance(value, str) or not is_uuid(value):
        raise _wrong(f'"{key}" is the uuid of a device')
    return normalised(value)


def _wrong(what: str) -> ConfigError:
    return ConfigError(
        f"the request does not fit: {what}",
        code="GW-1811",
        hint="this is what the `gateway` command sends; is it of the same version as the node?",
    )
