"""What operators may ask of the broker, under the names that the control socket uses."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from gateway.app.control import Arguments
from gateway.app.trace_stream import TraceStream
from gateway.broker import inspect
from gateway.broker.packet_text import is_hidden
from gateway.broker.tracing import Wanted
from gateway.errors import ConfigError, GatewayError
from gateway.model import is_uuid
from gateway.mqtt.filters import is_valid_filter
from gateway.mqtt.ports import PrincipalKind

if TYPE_CHECKING:
    from gateway.app.bans import Bans
    from gateway.app.parts import Parts
    from gateway.broker.server import Broker

MOST_TRACES = 4
MOST_BAN_S = 86_400.0  # whoever shall stay away longer is removed, or has its token revoked


def broker_operations(parts: "Parts") -> Mapping[str, Callable[[Arguments], Awaitable[object]]]:
    """Return operation -> what carries it out."""
    desk = BrokerDesk(parts.mesh.broker, parts.mesh.bans)
    return {**desk.operations, **parts.mesh.accounts.operations}


class BrokerDesk:
    """Looks into one broker, and ends what an operator wants ended."""

    def __init__(self, broker: "Broker", bans: "Bans") -> None:
        self._broker = broker
        self._bans = bans
        self.operations: Mapping[str, Callable[[Arguments], Awaitable[object]]] = {
            "broker-clients": self._clients,
            "broker-sessions": self._sessions,
            "broker-retained": self._retained,
            "broker-retained-clear": self._clear,
            "broker-refused": self._refused,
            "broker-kick": self._kick,
        }

    async def _clients(self, _: Arguments) -> object:
        return inspect.clients(self._broker)

    async def _sessions(self, _: Arguments) -> object:
        return inspect.sessions(self._broker)

    async def _retained(self, arguments: Arguments) -> object:
        return inspect.retained(self._broker, _filter(arguments.get("filter", "#")))

    async def _clear(self, arguments: Arguments) -> object:
        return {"cleared": inspect.clear_retained(self._broker, _filter(arguments.get("filter")))}

    async def _refused(self, _: Arguments) -> object:
        return inspect.refused(self._broker)

    async def _kick(self, arguments: Arguments) -> object:
        identity, client_id = _identity(arguments), _text(arguments, "client_id")
        ban_s = arguments.get("ban_s", 0)
        if not isinstance(ban_s, (int, float)) or not 0 <= ban_s <= MOST_BAN_S:
            raise _wrong('"ban_s" is a number of seconds, at most a day')
        found = inspect.find(self._broker, identity, client_id)
        if not found and not ban_s:
            whom = identity if client_id is None else f"{identity} with client id {client_id!r}"
            raise GatewayError(
                f"nobody is connected as {whom}",
                code="GW-1137",
                hint="gateway broker clients shows who is",
            )
        if ban_s:
            self._bans.ban(identity, ban_s)
        for connection in found:
            self._broker.kick(connection, "an operator ended it")
        return {"kicked": len(found), "banned_s": ban_s}


def trace_of(broker: "Broker", arguments: Arguments) -> AsyncIterator[bytes]:
    """Stream what some clients send and are sent; raises GatewayError before the stream begins."""
    pattern = _text(arguments, "topic")
    if pattern is not None:
        _filter(pattern)
        if is_hidden(PrincipalKind.DEVICE, pattern):
            raise ConfigError(
                f"no trace shows {pattern}: the mesh's own topics carry tokens and private messages",
                code="GW-1138",
                hint="trace the client instead: its other packets are shown",
            )
    if len(broker.tracing) >= MOST_TRACES:
        raise GatewayError(
            f"{MOST_TRACES} traces run already",
            code="GW-1138",
            hint="end one of them (Ctrl-C in its terminal)",
        )
    identity = None if arguments.get("identity") is None else _identity(arguments)
    with_payload = arguments.get("payload") in {"1", "true", True}
    wanted = Wanted(identity, _text(arguments, "client_id"), pattern, with_payload)
    return TraceStream(broker, wanted).lines()


def _identity(arguments: Arguments) -> str:
    name = _text(arguments, "identity") or ""
    if not name:
        raise _wrong('"identity" is the name of a user, or the uuid of a device')
    return name.lower() if is_uuid(name) else name


def _text(arguments: Arguments, key: str) -> str | None:
    value = arguments.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong(f'"{key}" is a text')
    return value


def _filter(value: Any) -> str:
    if not isinstance(value, str) or not is_valid_filter(value):
        raise ConfigError(
            f"{value!r} is no topic filter",
            code="GW-1139",
            hint="write levels with /; + is any one level, # at the end is all below",
        )
    return value


def _wrong(what: str) -> ConfigError:
    return ConfigError(
        f"the request does not fit: {what}",
        code="GW-1811",
        hint="this is what the `gateway` command sends; is it of the same version as the node?",
    )
