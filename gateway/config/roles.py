"""Which topics the shipped roles open, and what a user's roles add up to (topic rules, section 2)."""

from collections.abc import Iterable, Mapping

from gateway.config.schema import RoleSettings
from gateway.mqtt.ports import Grant

RESERVED = ("anonymous:", "bridge:", "unix:")
"""How names of those begin who log in without a password; a user of such a name would share their sessions."""

SHIPPED: Mapping[str, tuple[Grant, ...]] = {
    "home": (
        Grant("homeassistant/#", read=True, write=True),
        Grant("devices/#", read=True),
        Grant("devices/+/set", write=True),
    ),
    "zigbee2mqtt": (
        Grant("zigbee2mqtt/#", read=True, write=True),
        Grant("homeassistant/#", read=True, write=True),
    ),
    "tasmota": (
        Grant("cmnd/#", read=True, write=True),
        Grant("stat/#", read=True, write=True),
        Grant("tele/#", read=True, write=True),
        Grant("tasmota/#", read=True, write=True),
    ),
    "monitor": (Grant("#", read=True), Grant("$SYS/#", read=True)),
    "admin": (Grant("#", read=True, write=True), Grant("$SYS/#", read=True)),
}


def grants_of(roles: Iterable[str], own: Iterable[RoleSettings]) -> tuple[Grant, ...]:
    """Return what these roles open; a role of the file hides a shipped one of the same name."""
    table = {**SHIPPED, **{role.name: _grants(role) for role in own}}
    return tuple(grant for name in roles for grant in table.get(name, ()))


def _grants(role: RoleSettings) -> tuple[Grant, ...]:
    read = tuple(Grant(pattern, read=True) for pattern in role.read)
    return read + tuple(Grant(pattern, write=True) for pattern in role.write)
