"""Faults that no key has alone: names that nothing bears, things given out twice, risks not accepted."""

from collections.abc import Iterator

from gateway.config.bridge_rules import bridge_faults
from gateway.config.listener_rules import LOOPBACKS, listener_faults
from gateway.config.problems import Complaint, Loc
from gateway.config.roles import RESERVED, SHIPPED
from gateway.config.schema import Settings
from gateway.errors import ConfigError
from gateway.model import is_uuid


def unmet(settings: Settings) -> Iterator[tuple[Loc, str, Complaint]]:
    """Yield (place, item, fault) of each; places count the items of `settings`.

    Raises ConfigError GW-1014 for what must not run at all.
    """
    mqtt = settings.mqtt
    if mqtt.engine == "amqtt" and not mqtt.accept_amqtt_risks:
        _loopback_only(settings)
    known = {*SHIPPED, *(role.name for role in mqtt.roles)}
    for index, user in enumerate(mqtt.users):
        if is_uuid(user.name):
            fault = Complaint(
                "GW-1004", user.name, "a name that is not shaped like a device's uuid"
            )
            yield ("mqtt", "users", index, "name"), f"users {user.name}", fault
        if user.name.startswith(RESERVED):
            expected = "a name that does not begin with " + ", ".join(RESERVED)
            fault = Complaint("GW-1004", repr(user.name), expected)
            yield ("mqtt", "users", index, "name"), f"users {user.name}", fault
        for role in user.roles:
            if role not in known:
                expected = "one of " + ", ".join(sorted(known))
                fault = Complaint("GW-1013", f"the unknown role {role!r}", expected)
                yield ("mqtt", "users", index, "roles"), f"users {user.name}", fault
    yield from listener_faults(mqtt, known)
    yield from bridge_faults(mqtt.bridges)
    ports: dict[str, str] = {}
    for index, link in enumerate(settings.serial):
        other = ports.setdefault(link.port, link.name)
        if other != link.name:
            fault = Complaint("GW-1011", f"the port that {other!r} has", "a port of its own")
            yield ("serial", index, "port"), f"serial {link.name}", fault


def _loopback_only(settings: Settings) -> None:
    for name in ("tcp", "tls"):
        listener = getattr(settings.mqtt, name)
        wide = [host for host in listener.bind if not host.startswith(LOOPBACKS)]
        if listener.enabled and wide:
            raise ConfigError(
                f"mqtt.{name}.bind is {wide[0]}, but amqtt checks too little to be reached "
                "from other machines",
                code="GW-1014",
                hint='bind to 127.0.0.1, use engine = "own", or set accept_amqtt_risks = true',
            )
