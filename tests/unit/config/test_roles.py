"""What roles open."""

from gateway.config.roles import SHIPPED, grants_of
from gateway.config.schema import RoleSettings
from gateway.mqtt.ports import Grant


def test_roles_add_up_and_unknown_ones_open_nothing() -> None:
    own = [RoleSettings(name="lamp", read=("lamp/#",), write=("lamp/set",))]
    assert grants_of(["lamp", "monitor", "king"], own) == (
        Grant("lamp/#", read=True),
        Grant("lamp/set", write=True),
        *SHIPPED["monitor"],
    )


def test_an_own_role_hides_the_shipped_one() -> None:
    assert grants_of(["admin"], [RoleSettings(name="admin")]) == ()


def test_the_home_role_may_command_devices_but_not_speak_for_them() -> None:
    home = SHIPPED["home"]
    assert Grant("devices/+/set", write=True) in home
    assert not any(grant.write and grant.pattern == "devices/#" for grant in home)
