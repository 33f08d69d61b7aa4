"""The simulation moves, repeats exactly, and obeys."""

import pytest

from drivers.simulated import DRIVER
from gateway.errors import UnsupportedCommandError
from gateway.model import Command, DeviceUuid, Stamp


def opened():
    return DRIVER.open(DRIVER.settings(), "demo")


def seen(codec, uptime_ms):
    return {
        f"{r.hardware_id} {r.quantity}": r.value
        for r in codec.feed(b"tick\n", Stamp("b", uptime_ms))
    }


def command(**params):
    return Command("c-1", DeviceUuid("d"), DeviceUuid("a"), "set", params, 9000)


def test_values_move_and_are_the_same_every_time():
    assert seen(opened(), 1000) == seen(opened(), 1000)
    assert seen(opened(), 1000) != seen(opened(), 3000)
    assert {name.split()[0] for name in seen(opened(), 0)} == {"demo/climate", "demo/power"}


def test_the_relay_switches_the_load():
    codec = opened()
    assert seen(codec, 1000)["demo/power power"] > 50
    request = codec.encode(command(relay=False))
    assert (request.data, request.expects_answer) == (b"relay off\n", False)
    assert seen(codec, 1000)["demo/power power"] == 0.0
    assert seen(codec, 1000)["demo/power relay"] is False


def test_it_has_nothing_else_to_switch():
    with pytest.raises(UnsupportedCommandError):
        opened().encode(command(relay="off"))
